"""The segments and the Crayon Prompt of images, once each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from collavo.records import CrayonPrompt, Segments

if TYPE_CHECKING:
    from collavo.engine.images import Loaded
    from collavo.modeling.segmenters.base import Segmenter


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
        class_names: The names of label ids; by default the segmenter's.
    """

    def __init__(
        self,
        segmenter: Segmenter | None,
        mode: str,
        cache: SegmentCache | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self._segmenter = segmenter if mode != "none" else None
        self._names = class_names
        self._mode, self._cache = mode, cache
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
        self, items: Sequence[Loaded], pictures: torch.Tensor
    ) -> tuple[CrayonPrompt, list[str]]:
        """Segments images and makes their Crayon Prompts; only where there is a segmenter.

        Args:
            items: Units with images, I of them in all.
            pictures: uint8 (I, 3, H, W), unit by unit.

        Returns:
            The prompt of the images, and the sentence about the objects of each, also in modes
            that keep it from the model.
        """
        assert self._segmenter is not None, "asked where there is one"
        from collavo.modeling.crayon.prompt import make_crayon_prompt

        segments = self.find(items, pictures)
        names = self._segmenter.class_names if self._names is None else self._names
        prompt = make_crayon_prompt(segments, names, self._mode)
        sentences = make_crayon_prompt(segments, names, "text_only").text
        return prompt, [sentence or "" for sentence in sentences]

    def find(self, items: Sequence[Loaded], pictures: torch.Tensor) -> list[Segments]:
        """Returns the segments of images, and leaves them with the units; one thread at a time.

        Args:
            items: Units; those that have their segments are not segmented again.
            pictures: uint8 (I, 3, H, W) of all images, unit by unit.
        """
        assert self._segmenter is not None, "asked where there is one"
        with self._turn:
            images = [(item, place) for item in items for place in range(len(item.digests))]
            found = [self._known(item, place) for item, place in images]
            new = [row for row, known in enumerate(found) if known is None]
            if new:
                refs = [images[row][0].unit.images[images[row][1]] for row in new]
                rows = pictures if len(new) == len(images) else pictures[torch.tensor(new)]
                made = self._segmenter.segment(rows, refs)
                for row, segments in zip(new, made, strict=True):
                    found[row] = Segments(segments.ids.cpu(), segments.segments)
                    if self._cache:
                        item, place = images[row]
                        self._cache.put(item.digests[place], segments)
        whole = [segments for segments in found if segments is not None]
        rest = iter(whole)
        for item in items:
            item.segments = tuple(next(rest) for _ in item.digests)
        return whole

    def _known(self, item: Loaded, place: int) -> Segments | None:
        if item.segments:
            return item.segments[place]
        return self._cache.get(item.digests[place]) if self._cache else None
