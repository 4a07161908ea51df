"""Loads a Mask2Former checkpoint of transformers, and checks that all of it was there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.pretrained import load_pretrained

if TYPE_CHECKING:
    from transformers import Mask2FormerForUniversalSegmentation


LARGEST_NUMBER = 1 << 20
"""In a segmenter's config.json: its largest sizes are some thousands."""

MOST_LAYERS = 1024


def load_mask2former(folder: Path) -> Mask2FormerForUniversalSegmentation:
    """Loads a checkpoint in float32, frozen, in evaluation mode.

    Raises:
        CheckpointError: It is no Mask2Former, or its weights do not fit its config.json.
    """
    _check_type(folder)
    from transformers import Mask2FormerForUniversalSegmentation

    with quiet_loading():
        loaded = load_pretrained(
            Mask2FormerForUniversalSegmentation,
            folder,
            "SEGMENTER.WEIGHTS",
            dtype=torch.float32,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, info = loaded
    model.config.use_auxiliary_loss = True  # without it transformers drops what forward needs
    parameters = {name for name, _ in model.named_parameters()}
    missing = sorted(parameters & set(info["missing_keys"]))
    misshapen = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing or misshapen:
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: the weights in {folder} do not fit its config.json; missing: "
            f"{', '.join(missing[:8]) or 'none'} ({len(missing)}); of another shape: "
            f"{', '.join(misshapen[:8]) or 'none'} ({len(misshapen)})"
        )
    return model.eval().requires_grad_(False)


def _check_type(folder: Path) -> None:
    path = folder / "config.json"
    fields = read_object(path, CheckpointError)
    _refuse_absurd(fields, str(path))
    kind = fields.get("model_type")
    if kind != "mask2former":
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: {folder} holds a model of type {kind!r}, not 'mask2former'"
        )


def _refuse_absurd(value: Any, place: str) -> None:
    """Refuses numbers that no model has, before memory is asked for them.

    Raises:
        CheckpointError: One is beyond `LARGEST_NUMBER`, or there are very many layers.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            layers = "layers" in str(name) and isinstance(inner, int) and inner > MOST_LAYERS
            if layers:
                raise CheckpointError(f"{place}: {name} is {inner}; at most {MOST_LAYERS}")
            _refuse_absurd(inner, f"{place}, {name!s:.40}")
    elif isinstance(value, list):
        for inner in value[:4096]:
            _refuse_absurd(inner, place)
    elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
        raise CheckpointError(f"{place} is {value!r:.40}; at most {LARGEST_NUMBER}")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keeps transformers' progress bar and report out of the log; we check what was loaded."""
    from transformers.utils import logging as hub_logging

    shown, level = hub_logging.is_progress_bar_enabled(), hub_logging.get_verbosity()
    hub_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if shown:
            hub_logging.enable_progress_bar()
