"""Which task TRAIN.TASK names."""

from __future__ import annotations

import importlib
from typing import Any

from collavo.engine.training.task import Task

TASKS = {
    "vlm": ("collavo.engine.training.vlm_task", "VLMTask"),
    "alignment": ("collavo.engine.training.alignment_task", "AlignmentTask"),
    "segmenter": ("collavo.modeling.segmenters.training", "SegmenterTask"),
}
"""TRAIN.TASK -> module and class; only the chosen module is imported."""


def build_task(cfg: Any, device: str, is_main: bool = True) -> Task:
    """Builds the model and the data of a stage.

    Args:
        cfg: The configuration.
        device: The torch device string.
        is_main: Whether this process reports what it finds in the data.
    """
    module, name = TASKS[cfg.TRAIN.TASK]
    built: Task = getattr(importlib.import_module(module), name).from_config(cfg, device, is_main)
    return built
