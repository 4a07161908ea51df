"""Keeps what was found out about large files, so that it is found out once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from collavo.config.paths import cache_dir
from collavo.datasets.instruction.source import BadRows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """Arrays by name, and rows that were found bad."""

    arrays: Mapping[str, np.ndarray]
    bad: BadRows = BadRows()


def files_key(what: str, files: Sequence[Path]) -> str:
    """The key of what is known of files as they are now: their paths, sizes, times.

    Raises:
        OSError: A file is not there.
    """
    whole = hashlib.sha256(what.encode())
    for file in files:
        info = file.stat()
        whole.update(f"\0{file.resolve()}\0{info.st_size}".encode())
        # a file that is written in place and given its old time back has a new ctime
        whole.update(f"\0{info.st_mtime_ns}\0{info.st_ctime_ns}\0{info.st_ino}".encode())
    return whole.hexdigest()


def load_kept(key: str) -> Kept | None:
    """Returns what is kept under a key, or None; what cannot be read is as if it was not there."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            bad = json.loads(file.metadata()["bad"])
        first = tuple((str(name), str(problem)) for name, problem in bad["first"])
        return Kept(arrays, BadRows(int(bad["count"]), first))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read (%s); it is made anew", path, error)
        return None


def keep(key: str, kept: Kept) -> None:
    """Keeps arrays under a key; where that cannot be done a warning says so."""
    path = _path(key)
    partial = path.with_suffix(f".{os.getpid()}.new")
    bad = json.dumps({"count": kept.bad.count, "first": kept.bad.first})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(kept.arrays), partial, {"bad": bad})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        logger.warning("what was found in the training data cannot be kept at %s: %s", path, error)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return cache_dir() / "instruction" / f"{name}.safetensors"
