"""Writes the benchmark's model: the published formats at the sizes of configs/bench, drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.throughput.words import tokenizer_text
from collavo.config.paths import configs_dir
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC
from collavo.modeling.architectures.drawn import draw_tensor
from collavo.modeling.architectures.published import published_shapes
from collavo.modeling.architectures.tiny.tokenizer import train_tokenizer

PROCESSOR: dict[str, Any] = {
    "image_processor_type": "Mask2FormerImageProcessor",
    "do_resize": True,
    "resample": 2,
    "size_divisor": 32,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48500001430511475, 0.4560000002384186, 0.4059999883174896],
    "image_std": [0.2290000021457672, 0.2239999920129776, 0.22499999403953552],
    "ignore_index": 255,
    "reduce_labels": False,
    "num_labels": 133,
}
"""What the published Mask2Former's preprocessor_config.json says, but for the size."""


def read(name: str) -> dict[str, Any]:
    """Reads one of configs/bench's JSON files."""
    return json.loads((configs_dir() / "bench" / name).read_text(encoding="utf-8"))


SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vision_config": {
        **{"hidden_act": "quick_gelu", "hidden_size": 32, "intermediate_size": 64},
        **{"image_size": 490, "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 14},
    },
}
"""Sizes that only show that the benchmark runs."""


def build(folder: Path, rank: int, seed: int = 0, small: bool = False) -> Path:
    """Writes `folder/collavo-r<rank>` with its segmenter, unless it is there already.

    Args:
        folder: Where to.
        rank: PLoRA's rank.
        seed: Draws the weights.
        small: Of the smallest sizes.

    Returns:
        The model's folder.
    """
    model = folder / f"collavo-r{rank}"
    if (model / "complete").is_file():
        return model
    (model / "segmenter").mkdir(parents=True, exist_ok=True)
    config = read("collavo.json") | (SMALL if small else {})
    tokenizer = train_tokenizer(tokenizer_text(), config["vocab_size"])
    (model / "tokenizer.model").write_bytes(tokenizer)
    tensors = {
        name: _sharpen(name, draw_tensor(name, shape, seed), config).to(torch.float16)
        for name, shape in published_shapes(config, rank).items()
    }
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    (model / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    _write_segmenter(model / "segmenter", seed, small)
    (model / "complete").touch()
    return model


def _sharpen(name: str, tensor: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    """Lets the first layer look at single words, so that answers differ by question.

    Drawn weights of unit gain average over the whole prompt and say the same to every question.
    Sharp attention in all layers would make answers differ too, but also multiply rounding: the
    last digit of float32 then moves log-probabilities by 1e-3, and two exact ways part at a tie.
    """
    if name == "model.layers.0.attention.wqkv.Plora_main.weight":
        kv_heads = config["num_key_value_heads"]
        groups = config["num_attention_heads"] // kv_heads
        packed = tensor.view(kv_heads, groups + 2, -1, tensor.shape[1])
        packed[:, :-1] *= 6.0  # queries and keys, not values
    if name == "model.layers.0.attention.wo.Plora_main.weight":
        tensor *= 4.0
    return tensor


def _write_segmenter(folder: Path, seed: int, small: bool) -> None:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    sizes = read("segmenter.json")
    if small:
        sizes["backbone"] |= {"image_size": 64, "embed_dim": 12, "depths": [1, 1, 1, 1]}
        sizes["decoder"] |= {"num_queries": 20, "encoder_layers": 1, "decoder_layers": 2}
    names = [c.name for c in COCO_PANOPTIC]
    config = Mask2FormerConfig(
        backbone_config=SwinConfig(**sizes["backbone"]),
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        **sizes["decoder"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Mask2FormerForUniversalSegmentation(config).eval()
    model.save_pretrained(folder)
    side = 64 if small else 384
    processor = {**PROCESSOR, "size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
