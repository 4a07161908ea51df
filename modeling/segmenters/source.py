"""Which segmenter's weights a configuration means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.checkpoints.stage_folder import is_stage, open_stage
from collavo.modeling.weights import builtin_weights, resolve_weights

PUBLISHED = "facebook/mask2former-swin-large-coco-panoptic"
"""What the published CoLLaVO was used with. Source: commit fb419fa, load_collavo.py."""

BUILTIN = "builtin"
"""How a checkpoint's config.json names the built-in tiny segmenter as its own."""


def segmenter_folder(cfg: Any, files: tuple[str, ...]) -> Path:
    """Finds the folder of the segmenter's weights.

    SEGMENTER.WEIGHTS if set; without any model weights the built-in tiny segmenter; else the one
    that the model's checkpoint brings (a folder `segmenter` in it) or names in its config.json
    (`{"collavo": {"segmenter": "<folder, hub id or 'builtin'>"}}`); else the published one.

    Args:
        cfg: The configuration.
        files: Files that must be there, next to the weights themselves.

    Raises:
        MissingFileError: There is no such folder, it lacks a file, or the hub cannot be reached.
        CheckpointError: The weights are pickled or incomplete.
    """
    name, revision = str(cfg.SEGMENTER.WEIGHTS), str(cfg.SEGMENTER.REVISION)
    if not name:
        model = str(cfg.RESUME_FROM or cfg.MODEL.WEIGHTS)
        name = _of_model(Path(model).expanduser()) if model else str(builtin_weights("segmenter"))
    return resolve_weights(name, revision, files, "SEGMENTER.WEIGHTS")


def _of_model(folder: Path) -> str:
    """The segmenter of a checkpoint; of what a stage of training left, that of its base."""
    if is_stage(folder):
        folder = open_stage(folder).base_folder()
    if (folder / "segmenter").is_dir():
        return str(folder / "segmenter")
    config = folder / "config.json"
    if not config.is_file():
        return PUBLISHED
    about = read_object(config, CheckpointError).get("collavo") or {}
    named = about.get("segmenter") if isinstance(about, dict) else about
    if named == BUILTIN:
        return str(builtin_weights("segmenter"))
    if named and (folder / named).is_dir():
        return str(folder / named)
    return named or PUBLISHED
