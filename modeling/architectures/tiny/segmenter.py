"""Writes the tiny Mask2Former: transformers' own format and classes, drawn, not trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collavo.modeling.segmenters.mask2former_loading import quiet_loading
from collavo.modeling.segmenters.new_mask2former import (
    PROCESSOR as PREPROCESSOR,
)
from collavo.modeling.segmenters.new_mask2former import export_segmenter, new_mask2former

IMAGE_SIZE = 160
"""Side in pixels: the mask grid is 40 x 40 for a crayon grid of 16 x 16."""

BACKBONE: dict[str, Any] = {
    "layer_type": "basic",
    "embedding_size": 24,
    "hidden_sizes": [24, 48, 96, 128],
    "depths": [2, 2, 2, 2],
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
"""A ResNet: from nothing and within minutes convolutions learn more than windows of attention."""

DECODER: dict[str, Any] = {
    "feature_size": 64,
    "mask_feature_size": 64,
    "hidden_dim": 64,
    "encoder_feedforward_dim": 256,
    "encoder_layers": 1,
    "decoder_layers": 4,
    "num_attention_heads": 4,
    "dim_feedforward": 256,
    "num_queries": 30,
    "class_weight": 4.0,
}
"""Classes weigh twice as much as in the original: they are learnt last."""

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
    from transformers import Mask2FormerConfig, ResNetConfig

    folder.mkdir(parents=True, exist_ok=True)
    with quiet_loading():
        config = Mask2FormerConfig(
            backbone_config=ResNetConfig(**BACKBONE),
            id2label=dict(enumerate(class_names)),
            label2id={name: i for i, name in enumerate(class_names)},
            **DECODER,
        )
        config.save_pretrained(folder)
    text = json.dumps(PROCESSOR, indent=2, sort_keys=True) + "\n"
    (folder / PREPROCESSOR).write_text(text, encoding="utf-8")
    about = {
        "untrained": True,
        "note": "Random weights: for trying the toolkit out. It finds no object.",
    }
    export_segmenter(new_mask2former(folder, seed), folder, folder, about)
