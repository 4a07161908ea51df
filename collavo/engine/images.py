"""Reads images ahead of the model: bytes, digest and pixels of each unit, in a pool of threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from collavo.datasets.mappers.image import read_image
from collavo.engine.plan import Unit
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, Segments

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from collavo.modeling.image_policies.base import VisualInput

Mapper = Callable[[ImageRef], "Image.Image | UInt8[np.ndarray, 'height width 3']"]
"""Opens an image: RGB, of any size, as Pillow's or as an array in [0, 255]."""


@dataclass
class Loaded:
    """A unit with its images read.

    Args:
        unit: The unit.
        pending: Its samples that have no answer for these very images yet; shrinks as answers come.
        digests: sha256 of each image's bytes.
        visuals: The images as the model takes them; none without image or with nothing pending.
        error: Why an image cannot be used.
        segments: What was found in each image, once they were segmented.
    """

    unit: Unit
    pending: list[Sample] = field(default_factory=list)
    digests: tuple[str, ...] = ()
    visuals: tuple[VisualInput, ...] = ()
    error: str | None = None
    segments: tuple[Segments, ...] = ()

    @property
    def digest(self) -> str:
        """Names the content of all its images: "" without any, the image's own sha256 for one."""
        if len(self.digests) < 2:
            return "".join(self.digests)
        return hashlib.sha256(" ".join(self.digests).encode()).hexdigest()


class ImageLoader:
    """Loads units in the background.

    Threads serve: reading, hashing, decoding and resizing all release the interpreter's lock.

    Args:
        mapper: Opens an image.
        prepare: Makes of it what the model takes (`Architecture.prepare`).
        is_done: Says of a sample and an image's digest whether that answer is on disk.
        workers: Threads; -1 takes what suits the machine, 0 loads when asked.
    """

    def __init__(
        self,
        mapper: Mapper,
        prepare: Callable[[Image.Image], VisualInput],
        is_done: Callable[[Sample, str], bool],
        workers: int = -1,
    ) -> None:
        self._mapper, self._prepare, self._is_done = mapper, prepare, is_done
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
        loaded = Loaded(unit)
        try:
            read = [(read_image(image), image.label) for image in unit.images]
            loaded.digests = tuple(hashlib.sha256(data).hexdigest() for data, _ in read)
            loaded.pending = [s for s in unit.samples if not self._is_done(s, loaded.digest)]
            if loaded.pending:
                refs = [ImageRef(data=data, name=label) for data, label in read]
                loaded.visuals = tuple(visual_of(ref, self._mapper, self._prepare) for ref in refs)
        except Exception as error:  # any fault of an image or of a mapper fails its samples only
            loaded.pending = loaded.pending or list(unit.samples)
            loaded.error = describe(error)
        return loaded

    def close(self) -> None:
        """Drops what has not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def visual_of(
    ref: ImageRef, mapper: Mapper, prepare: Callable[[Image.Image], VisualInput]
) -> VisualInput:
    """Opens one image and makes of it what a model takes; the one way from file to model.

    Raises:
        DataError: It cannot be opened, or the model takes none of its kind.
    """
    opened = mapper(ref)
    return prepare(opened if isinstance(opened, Image.Image) else Image.fromarray(opened))


def describe(error: BaseException) -> str:
    """Words an error for the record of a failed sample."""
    if isinstance(error, DataError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip()[:500]
