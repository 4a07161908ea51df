"""Sends the figures of a run to Weights & Biases, where WANDB asks for it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.errors import UserError
from collavo.results.files import plain
from collavo.results.report import Report

logger = logging.getLogger(__name__)

PROJECT = "collavo"
"""The project on the server; the environment's WANDB_PROJECT comes before it."""


def require_tracker() -> None:
    """Finds out before a run starts whether its figures can be sent.

    Raises:
        UserError: wandb is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise UserError(
            "WANDB is True but wandb is not installed: install the extra `collavo[track]`, "
            "or say WANDB False"
        )


def track(report: Report, folder: Path) -> None:
    """Sends headline figures, counts and flags; a run that was resumed goes to the same entry.

    What is on disk stays the result: a server that cannot be reached is only warned of.

    Args:
        report: The finished run.
        folder: Its folder `<dataset>/<fingerprint>`, which names the entry.
    """
    wandb: Any = importlib.import_module("wandb")
    data: Mapping[str, Any] = plain(report.as_dict())
    name = f"{report.dataset}-{folder.name}"
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=re.sub(r"[^\w.-]", "-", name),
            name=name,
            dir=str(folder),
            config=plain(report.about.get("config", {})),
            tags=[flag for flag, is_set in data["flags"].items() if is_set is True],
            resume="allow",
            allow_val_change=True,
        )
        run.summary.update({"headline": data["headline"], "counts": data["counts"]})
        run.finish()
    except wandb.errors.Error as error:
        logger.warning("could not send the figures to Weights & Biases: %s", error)
