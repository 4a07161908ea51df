"""The segments and the Crayon Prompt of images, once each, with pictures of the first ones."""

from __future__ import annotations

import logging
import re
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

        segments = self._segments(items, pixels)
        names = self._segmenter.class_names
        for item, found in zip(items, segments, strict=True):
            self._draw(item, found, names)
        prompt = make_crayon_prompt(segments, names, self._mode)
        sentences = make_crayon_prompt(segments, names, "text_only").text
        return prompt, [sentence or "" for sentence in sentences]

    def _segments(self, items: Sequence[Loaded], pixels: torch.Tensor) -> list[Segments]:
        assert self._segmenter is not None, "asked by make"
        known = [self._cache.get(i.digest) if self._cache else None for i in items]
        new = [row for row, found in enumerate(known) if found is None]
        if new:
            refs = [items[row].unit.image for row in new]
            rows = pixels if len(new) == len(items) else pixels[torch.tensor(new)]
            made = self._segmenter.segment(rows, [r for r in refs if r is not None])
            for row, found in zip(new, made, strict=True):
                known[row] = found
                if self._cache:
                    self._cache.put(items[row].digest, found)
                    known[row] = Segments(found.ids.cpu(), found.segments)  # as the kept ones
        return [found for found in known if found is not None]

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
