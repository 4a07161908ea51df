"""Fills a cache of crayon maps with the images of a dataset, before any run."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import torch

from collavo.datasets.mappers.image import open_image
from collavo.engine.crayon_cache import CrayonCache
from collavo.errors import DataError, UserError
from collavo.modeling.image_policies.square import Squash
from collavo.records import ImageRef

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from collavo.modeling.segmenters.base import Segmenter

logger = logging.getLogger(__name__)


@dataclass
class BuildCounts:
    """What became of the images.

    Args:
        images: Images that were looked at; the same bytes under two names are one.
        made: Of these, segmented now.
        known: Of these, in the cache already.
        failed: The names of images that could not be opened, with the reason.
    """

    images: int = 0
    made: int = 0
    known: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    ref: ImageRef
    digest: str = ""
    pixels: torch.Tensor | None = None
    error: str = ""


def build_cache(
    refs: Sequence[ImageRef],
    segmenter: Segmenter,
    size: int,
    cache: CrayonCache,
    batch_size: int = 8,
    moved: Callable[[int], None] = lambda seen: None,
) -> BuildCounts:
    """Segments the images that the cache lacks; may be stopped and started again at any moment.

    Args:
        refs: The images.
        segmenter: The segmenter that the cache was opened for.
        size: Height and width in pixels of the squares that the segmenter sees.
        cache: Written batch by batch.
        batch_size: Images that are segmented at a time.
        moved: Called with the number of images that are behind us.

    Raises:
        UserError: The cache cannot be written.
    """
    counts, seen, done = BuildCounts(), set[str](), 0
    batch: list[_Loaded] = []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "images") as pool:
        for item in _ahead(pool, lambda ref: _load(ref, size, cache), refs, 4 * batch_size):
            done += 1
            if item.error:
                counts.failed[item.ref.label] = item.error
            elif item.digest not in seen:
                seen.add(item.digest)
                counts.images += 1
                if item.pixels is None:
                    counts.known += 1
                else:
                    batch.append(item)
            if len(batch) == batch_size:
                counts.made += _segment(batch, segmenter, cache)
                batch.clear()
                moved(done)
        counts.made += _segment(batch, segmenter, cache)
    moved(done)
    return counts


def squashed(ref: ImageRef, size: int) -> UInt8[torch.Tensor, "3 size size"]:
    """Opens an image as CoLLaVO's segmenter is shown it.

    Raises:
        DataError: It cannot be opened.
    """
    pixels = Squash(size, 0)(open_image(ref)).picture
    assert pixels is not None, "a square policy makes a picture"
    return pixels


def _load(ref: ImageRef, size: int, cache: CrayonCache) -> _Loaded:
    try:
        data = ref.read()
        digest = hashlib.sha256(data).hexdigest()
        if cache.get(digest) is not None:
            return _Loaded(ref, digest)
        return _Loaded(ref, digest, squashed(ImageRef(data=data, name=ref.label), size))
    except (DataError, OSError) as error:
        return _Loaded(ref, error=str(error))


def _segment(batch: Sequence[_Loaded], segmenter: Segmenter, cache: CrayonCache) -> int:
    if not batch:
        return 0
    pixels = torch.stack([item.pixels for item in batch if item.pixels is not None])
    made = segmenter.segment(pixels, [item.ref for item in batch])
    for item, segments in zip(batch, made, strict=True):
        cache.put(item.digest, segments)
    if cache.fault:
        raise UserError(
            f"crayon maps cannot be kept: {cache.path} {cache.fault}. Choose another place with "
            "--to or CRAYON.CACHE; what is written stays"
        )
    return len(batch)


def _ahead(
    pool: ThreadPoolExecutor,
    load: Callable[[ImageRef], _Loaded],
    refs: Iterable[ImageRef],
    count: int,
) -> Iterator[_Loaded]:
    """Loads `count` images ahead, in order."""
    rest = iter(refs)
    waiting = [pool.submit(load, ref) for ref in islice(rest, count)]
    while waiting:
        future = waiting.pop(0)
        waiting.extend(pool.submit(load, ref) for ref in islice(rest, 1))
        yield future.result()
