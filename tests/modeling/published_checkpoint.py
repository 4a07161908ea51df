"""A small checkpoint in the published format: its sizes, written to a folder, and loaded."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.published import published_shapes

PUBLISHED = {
    "hidden_size": 4096,
    "img_size": 490,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 1.0, "type": "dynamic"},
    "rope_theta": 1000000,
    "vocab_size": 92544,
}
SMALL = {
    **PUBLISHED,
    "hidden_size": 24,
    "intermediate_size": 20,
    "max_position_embeddings": 64,
    "num_attention_heads": 6,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 30,
    "vision_config": {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}
RANK = 3


def tensors(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = published_shapes(SMALL, RANK)
    return {n: torch.randn(s, generator=draw).to(dtype) for n, s in shapes.items()}


def write(folder: Path, held: dict[str, torch.Tensor], shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SMALL))
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}')
    if shards == 1:
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = dict(list(held.items())[i::shards])
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def load(folder: Path, **options: object) -> CoLLaVO:
    return CoLLaVO.from_pretrained(folder, device="cpu", **options)
