"""Image size and patch grid of a model, from its config.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.architectures.published import vision_fields
from collavo.modeling.checkpoints.config_fields import check_published
from collavo.modeling.weights import builtin_weights, resolve_config


def crayon_geometry(cfg: Any) -> tuple[int, tuple[int, int]]:
    """Returns what the segmenter has to know of the model, without loading the model.

    Args:
        cfg: The configuration; RESUME_FROM or MODEL.WEIGHTS name the model, else it is the
            built-in one.

    Returns:
        The side of the square images in pixels, and the grid (h, w).

    Raises:
        MissingFileError: The model's config.json cannot be found.
        CheckpointError: It is no JSON object.
    """
    name = str(cfg.RESUME_FROM or cfg.MODEL.WEIGHTS)
    key = "RESUME_FROM" if cfg.RESUME_FROM else "MODEL.WEIGHTS"
    path = _config(name or str(builtin_weights("collavo")), str(cfg.MODEL.REVISION), key)
    fields = read_object(path, CheckpointError)
    check_published(fields, str(path))
    vision = vision_fields(fields)
    size = int(cfg.INPUT.IMAGE_SIZE or vision["image_size"])
    side = size // int(vision["patch_size"])
    return size, (side, side)


def _config(name: str, revision: str, key: str) -> Path:
    """The model's config.json; of what a stage of training left, that of its base."""
    from collavo.modeling.checkpoints.stage_folder import is_stage, open_stage

    if is_stage(name):
        return open_stage(name).base_folder() / "config.json"
    return resolve_config(name, revision, key)
