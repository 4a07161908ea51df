"""The segments and the Crayon Prompt of images, once each, with pictures of the first ones."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from collavo.records import CrayonPrompt, Segments

if TYPE_CHECKING:
    from collavo.engine.images import Loaded
    from collavo.modeling.segmenters.base import Segmenter

logger = logging.getLogger(__name__)


class SegmentCache(Protocol):
    """Keeps segments across runs, under the digest of their image."""

    def get(self, digest: str) -> Segments | None:
        """Returns what is kept of an image."""
        ...

    def put(self, digest: str, segments: Segments) -> None:
        """Keeps the segments of an image."""
        ...


class CrayonMaker:
    """Turns images into Crayon Prompts.

    Args:
        segmenter: The segmenter, or None where no crayon is wanted.
        mode: CRAYON.MODE.
        cache: Segments of earlier runs.
        pictures: Where to draw overlays, by the key of the unit; draws nothing by default.
    """

    def __init__(
        self,
        segmenter: Segmenter | None,
        mode: str,
        cache: SegmentCache | None = None,
        pictures: Mapping[str, Path] | None = None,
    ) -> None:
        self._segmenter = segmenter if mode != "none" else None
        self._mode, self._cache = mode, cache
        self._pictures = dict(pictures or {})
        self._pool = ThreadPoolExecutor(1, "pictures") if self._pictures else None
        self._turn = threading.Lock()

    @property
    def segments_images(self) -> bool:
        """Whether there is a segmenter at work."""
        return self._segmenter is not None

    @property
    def makes_maps(self) -> bool:
        """Whether images get maps, which they do not in the modes of text alone."""
        from collavo.modeling.crayon.prompt import get_mode

        return self.segments_images and get_mode(self._mode).maps

    def make(
        self, items: Sequence[Loaded], pixels: torch.Tensor
    ) -> tuple[CrayonPrompt | None, list[str]]:
        """Segments images and makes their Crayon Prompts.

        Args:
            items: The images.
            pixels: Their uint8 pixels (B, 3, H, W).

        Returns:
            The prompt of the batch (None without crayon) and the sentence about the objects of each
            image, also in modes that keep it from the model ("" without crayon).
        """
        if self._segmenter is None:
            return None, [""] * len(items)
        from collavo.modeling.crayon.prompt import make_crayon_prompt

        segments = self.find(items, pixels)
        names = self._segmenter.class_names
        for item, found in zip(items, segments, strict=True):
            self._draw(item, found, names)
        prompt = make_crayon_prompt(segments, names, self._mode)
        sentences = make_crayon_prompt(segments, names, "text_only").text
        return prompt, [sentence or "" for sentence in sentences]

    def find(self, items: Sequence[Loaded], pixels: torch.Tensor) -> list[Segments]:
        """Returns the segments of images, and leaves them with the images; one thread at a time.

        Args:
            items: The images; those that have their segments are not segmented again.
            pixels: Their uint8 pixels (B, 3, H, W).
        """
        assert self._segmenter is not None, "asked where there is one"
        with self._turn:
            for item in items:
                if item.segments is None and self._cache:
                    item.segments = self._cache.get(item.digest)
            new = [row for row, item in enumerate(items) if item.segments is None]
            if new:
                refs = [items[row].unit.image for row in new]
                rows = pixels if len(new) == len(items) else pixels[torch.tensor(new)]
                made = self._segmenter.segment(rows, [r for r in refs if r is not None])
                for row, found in zip(new, made, strict=True):
                    items[row].segments = Segments(found.ids.cpu(), found.segments)
                    if self._cache:
                        self._cache.put(items[row].digest, found)
        return [item.segments for item in items if item.segments is not None]

    def _draw(self, item: Loaded, segments: Segments, names: Sequence[str]) -> None:
        path = self._pictures.pop(item.unit.key, None)
        if path is not None and self._pool is not None and item.pixels is not None:
            self._pool.submit(_draw, path, item.pixels, segments, names)

    def close(self) -> None:
        """Waits for the pictures."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def picture_paths(folder: Path, keys: Sequence[tuple[str, str]]) -> dict[str, Path]:
    """Names a picture for each (unit key, sample id), by the sample id."""
    return {
        key: folder / f"{number:02d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[:80]}.png"
        for number, (key, name) in enumerate(keys, 1)
    }


def _draw(path: Path, pixels: Any, segments: Segments, names: Sequence[str]) -> None:
    """Saves one picture; a fault of the drawing ends no run."""
    from PIL import Image

    from collavo.modeling.crayon.draw import draw_crayon

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        draw_crayon(Image.fromarray(pixels), segments, names).save(temporary, format="PNG")
        temporary.replace(path)
    except (OSError, ValueError) as error:
        logger.warning("no picture %s: %s", path, error)
