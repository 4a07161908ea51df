"""accelerate's trackers: TensorBoard where it is installed, Weights & Biases where asked for."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from collavo.results.tracking import PROJECT, require_tracker


def open_trackers(cfg: Any, folder: Path) -> list[Any]:
    """Opens the trackers of a training.

    Args:
        cfg: The configuration; WANDB asks for Weights & Biases.
        folder: The run folder, which names the entry and holds TensorBoard's files.

    Raises:
        UserError: WANDB is True and wandb is not installed.
    """
    from accelerate import tracking

    trackers: list[Any] = []
    if importlib.util.find_spec("tensorboard") is not None:
        trackers.append(tracking.TensorBoardTracker("tensorboard", str(folder)))
    if cfg.WANDB:
        require_tracker()
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        name = f"{cfg.TRAIN.STAGE}-{folder.name}"
        trackers.append(
            tracking.WandBTracker(project, name=name, id=name, dir=str(folder), resume="allow")
        )
    for tracker in trackers:
        if hasattr(tracker, "start"):
            tracker.start()
    return trackers
