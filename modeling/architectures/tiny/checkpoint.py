"""Writes the tiny CoLLaVO: the published format at 1.7 million parameters, drawn, not trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from collavo.modeling.architectures.drawn import draw_tensor
from collavo.modeling.architectures.published import CLIP_L_14, published_shapes

RANK = 8
"""The published rank over the published width, 256 / 4096, at this width."""

CONFIG: dict[str, Any] = {
    "bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 128,
    "img_size": 224,
    "initializer_range": 0.02,
    "intermediate_size": 256,
    "max_length": 2048,
    "max_position_embeddings": 2048,
    "model_type": "internlm",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 1.0, "type": "dynamic"},
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "use_cache": False,
    "vision_config": {
        **CLIP_L_14,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 224,
        "patch_size": 14,
    },
    "collavo": {
        "segmenter": "builtin",
        "untrained": True,
        "note": "Random weights: for trying the toolkit out. Its answers mean nothing.",
    },
}


def write_checkpoint(folder: Path, tokenizer: bytes, vocab_size: int, seed: int = 0) -> None:
    """Writes config.json, model.safetensors (float16) and tokenizer.model into `folder`.

    Equal arguments give equal bytes on every machine: each tensor is drawn by itself from
    numpy's PCG64, seeded by its name.

    Args:
        folder: Made if it is not there.
        tokenizer: The serialised SentencePiece model.
        vocab_size: Its pieces; the embedding has one row more, for the image.
        seed: Changes every tensor.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, "vocab_size": vocab_size}
    tensors = {
        name: draw_tensor(name, shape, seed).to(torch.float16)
        for name, shape in published_shapes(config, RANK).items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer.model").write_bytes(tokenizer)
