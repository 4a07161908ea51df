"""Reads images ahead of the model: bytes, digest and pixels of each unit, in a pool of threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collavo.engine.plan import Unit
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, Segments

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

Mapper = Callable[[ImageRef], "UInt8[np.ndarray, 'height width 3']"]


@dataclass
class Loaded:
    """A unit with its image read.

    Args:
        unit: The unit.
        pending: Its samples that have no answer for this very image yet; shrinks as answers come.
        digest: sha256 of the image's bytes, "" without image.
        pixels: uint8 RGB (H, W, 3) at the model's size; None without image or with nothing pending.
        error: Why the image cannot be used.
        segments: What was found in it, once it was segmented.
    """

    unit: Unit
    pending: list[Sample] = field(default_factory=list)
    digest: str = ""
    pixels: UInt8[np.ndarray, "height width 3"] | None = None
    error: str | None = None
    segments: Segments | None = None


class ImageLoader:
    """Loads units in the background.

    Threads serve: reading, hashing, decoding and resizing all release the interpreter's lock.

    Args:
        mapper: Turns an image into pixels at the model's size.
        is_done: Says of a sample and an image's digest whether that answer is on disk.
        workers: Threads; -1 takes what suits the machine, 0 loads when asked.
    """

    def __init__(
        self, mapper: Mapper, is_done: Callable[[Sample, str], bool], workers: int = -1
    ) -> None:
        self._mapper, self._is_done = mapper, is_done
        if workers < 0:
            workers = min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, "images") if workers else None

    def submit(self, units: Sequence[Unit]) -> list[Future[Loaded]]:
        """Begins to load units."""
        if self._pool is not None:
            return [self._pool.submit(self.load, unit) for unit in units]
        futures: list[Future[Loaded]] = []
        for unit in units:
            future: Future[Loaded] = Future()
            future.set_result(self.load(unit))
            futures.append(future)
        return futures

    def load(self, unit: Unit) -> Loaded:
        """Loads one unit; a broken image becomes its error, not an exception."""
        if unit.image is None:
            return Loaded(unit, [s for s in unit.samples if not self._is_done(s, "")])
        loaded = Loaded(unit)
        try:
            data = unit.image.read()
            loaded.digest = hashlib.sha256(data).hexdigest()
            loaded.pending = [s for s in unit.samples if not self._is_done(s, loaded.digest)]
            if loaded.pending:
                loaded.pixels = self._mapper(ImageRef(data=data, name=unit.image.label))
        except Exception as error:  # any fault of an image or of a mapper fails its samples only
            loaded.pending = loaded.pending or list(unit.samples)
            loaded.error = describe(error)
        return loaded

    def close(self) -> None:
        """Drops what has not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def describe(error: BaseException) -> str:
    """Words an error for the record of a failed sample."""
    if isinstance(error, DataError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip()[:500]
