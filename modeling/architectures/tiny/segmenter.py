"""Writes the tiny Mask2Former: transformers' own format and classes, drawn, not trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

IMAGE_SIZE = 224

BACKBONE: dict[str, Any] = {
    "image_size": IMAGE_SIZE,
    "embed_dim": 16,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 4, 4],
    "window_size": 7,
    "mlp_ratio": 2.0,
    "drop_path_rate": 0.0,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}

DECODER: dict[str, Any] = {
    "feature_size": 64,
    "mask_feature_size": 64,
    "hidden_dim": 64,
    "encoder_feedforward_dim": 128,
    "encoder_layers": 2,
    "decoder_layers": 4,
    "num_attention_heads": 4,
    "dim_feedforward": 128,
    "num_queries": 32,
    "train_num_points": 1024,
}

PROCESSOR: dict[str, Any] = {
    "image_processor_type": "Mask2FormerImageProcessor",
    "do_resize": True,
    "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
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
"""Source: preprocessor_config.json of facebook/mask2former-swin-large-coco-panoptic, smaller."""


def write_segmenter(folder: Path, class_names: Sequence[str], seed: int = 0) -> None:
    """Writes config.json, preprocessor_config.json and model.safetensors (float16).

    Args:
        folder: Made if it is not there.
        class_names: The dataset's names by label id, as checkpoints have them (uncleaned).
        seed: Draws the weights; the same on one release of torch and transformers.
    """
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    folder.mkdir(parents=True, exist_ok=True)
    config = Mask2FormerConfig(
        backbone_config=SwinConfig(**BACKBONE),
        id2label=dict(enumerate(class_names)),
        label2id={name: i for i, name in enumerate(class_names)},
        **DECODER,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Mask2FormerForUniversalSegmentation(config)
    model.eval().half().save_pretrained(folder)
    file = folder / "config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    fields["collavo"] = {
        "untrained": True,
        "note": "Random weights: for trying the toolkit out. It finds no object.",
    }
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    text = json.dumps(PROCESSOR, indent=2, sort_keys=True) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
