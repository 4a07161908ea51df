"""The run folder of a stage: its name, its lock, and what may differ when it is taken up again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.config.build import dump
from collavo.engine import fingerprint as fp
from collavo.engine.folder import check_writable
from collavo.engine.store import RunLock

logger = logging.getLogger(__name__)

SECTIONS = (
    "CRAYON",
    "DATASETS",
    "INPUT",
    "LLM",
    "LORA",
    "MODEL",
    "OPTIMIZER",
    "SEGMENTER",
    "TRAIN",
)
"""Sections that decide on the course of a training."""

FREE = {
    "CRAYON.CACHE",
    "DATASETS.TEST",
    "DATASETS.LAYOUT",
    "OPTIMIZER.GRAD_CUM",
    "TRAIN.DIR",
    "TRAIN.EVAL_STEPS",
    "TRAIN.FRESH",
    "TRAIN.GRAD_CKPT",
    "TRAIN.KEEP_LAST",
    "TRAIN.LOG_STEPS",
    "TRAIN.MAX_BAD_IMAGES",
    "TRAIN.MAX_BAD_ROWS",
    "TRAIN.MAX_BAD_STEPS",
    "TRAIN.SAVE_STEPS",
}
"""Keys that may change when a run is taken up: its curve stays the same, up to rounding."""

LENGTH = {"TRAIN.MAX_STEPS", "OPTIMIZER.EPOCH"}
"""Keys that may change as well where the learning rate does not depend on the length."""


def course(cfg: Any, task: Mapping[str, Any]) -> dict[str, Any]:
    """Lists everything that decides on the curve of a training.

    Args:
        cfg: The configuration.
        task: What the task says of its model and data.
    """
    free = set(FREE)
    if cfg.OPTIMIZER.SCHEDULE == "constant" and cfg.OPTIMIZER.WARMUP >= 1:
        free |= LENGTH
    if cfg.OPTIMIZER.SCHEDULE == "constant" and cfg.OPTIMIZER.WARMUP == 0:
        free |= LENGTH
    items: dict[str, Any] = {"RANDOM_SEED": cfg.RANDOM_SEED, "RESUME_FROM": cfg.RESUME_FROM}
    for section in SECTIONS:
        items[section] = _without(cfg[section], section, free)
    return {**items, "task": dict(task)}


def _without(node: Any, prefix: str, free: set[str]) -> Any:
    if not isinstance(node, Mapping):
        return node
    return {
        key: _without(value, f"{prefix}.{key}", free)
        for key, value in node.items()
        if f"{prefix}.{key}" not in free
    }


def stage_folder(cfg: Any, items: Mapping[str, Any]) -> Path:
    """Returns TRAIN.DIR, or `<SAVE_DIR>/train/<stage>/<fingerprint>`."""
    if cfg.TRAIN.DIR:
        return Path(cfg.TRAIN.DIR).expanduser()
    return Path(cfg.SAVE_DIR).expanduser() / "train" / cfg.TRAIN.STAGE / fp.fingerprint(items)


def open_stage(folder: Path, cfg: Any, items: Mapping[str, Any]) -> RunLock:
    """Takes the folder for this launch, in the main process.

    Raises:
        ConfigError: It holds another training, or a launch is at work in it.
        StoreError: It cannot be written.
    """
    check_writable(folder)
    lock = RunLock(folder / "lock", "TRAIN.DIR")
    lock.acquire()
    try:
        if cfg.TRAIN.FRESH:
            for name in ("checkpoints", "export", "eval"):
                shutil.rmtree(folder / name, ignore_errors=True)
            for name in ("metrics.jsonl", fp.FILE):
                (folder / name).unlink(missing_ok=True)
        fp.check_folder(folder, items, "TRAIN.DIR")
        fp.write_items(folder, items)
        (folder / "config.yaml").write_text(dump(cfg), encoding="utf-8")
    except BaseException:
        lock.release()
        raise
    logger.info("%s: the run folder is %s", cfg.TRAIN.STAGE, folder)
    return lock
