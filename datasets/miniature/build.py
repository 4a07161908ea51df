"""Builds the miniature of the benchmarks once, into the cache folder."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import pkgutil
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from collavo.config.paths import cache_dir
from collavo.datasets.miniature import benchmarks
from collavo.datasets.miniature.panoptic import write_panoptic
from collavo.datasets.miniature.scenes import Scene
from collavo.errors import DataError
from collavo.pulse import during

logger = logging.getLogger(__name__)

_FORGOTTEN = 3600
"""Seconds after which a half-built folder belongs to a process that has died."""


@cache
def version() -> str:
    """The digest of the sources that draw the miniature: another source, another folder."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    drawing = [f for f in sorted(here.rglob("*.py")) if f.parent.name != "training"]
    for file in (*drawing, here.parent / "registration" / "coco_panoptic.py"):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def miniature_root() -> Path:
    """Returns the miniature's dataset root, building it where it is not there yet.

    The folder appears whole or not at all, also when several processes build it at once.

    Raises:
        DataError: The cache folder cannot be written.
    """
    target = cache_dir() / f"miniature-{version()}"
    if target.is_dir():
        return target
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        _remove_forgotten(cache_dir())
        work = Path(tempfile.mkdtemp(prefix=".miniature-", dir=cache_dir()))
    except OSError as error:
        raise DataError(
            f"the built-in miniature cannot be written to {cache_dir()} ({error.strerror}); "
            "set COLLAVO_CACHE to a folder that can be written"
        ) from error
    logger.info("building the miniature benchmarks in %s", target)
    try:
        with during("drawing the miniature benchmarks, once for this machine"):
            build(work)
        work.chmod(0o755)  # mkdtemp makes it private; users of a machine may share the cache
        os.rename(work, target)
    except OSError as error:
        if not target.is_dir():
            raise DataError(
                f"the built-in miniature cannot be written to {target} ({error.strerror}); "
                "make room there, or set COLLAVO_CACHE to another folder"
            ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def build(root: Path) -> None:
    """Writes every benchmark of `collavo.datasets.miniature.benchmarks` below `root`."""
    drawn: dict[str, Scene] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__)):
        images = importlib.import_module(f"{benchmarks.__name__}.{module}").write(root)
        for name, image in images:
            assert drawn.setdefault(name, image).seed == image.seed, f"two images {name}"
    folder = root / "panoptic"
    folder.mkdir()
    listed = sorted(drawn.items())
    write_panoptic(folder / "panoptic_val.json", folder / "panoptic_val", listed)


def _remove_forgotten(folder: Path) -> None:
    for leftover in folder.glob(".miniature-*"):
        with suppress(FileNotFoundError):  # another process may be removing it, too
            if time.time() - leftover.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(leftover, ignore_errors=True)
