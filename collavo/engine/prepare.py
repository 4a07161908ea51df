"""From loaded images to model inputs: pixels, Crayon Prompts and tokens of a batch."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from collavo.engine.images import Loaded
from collavo.engine.plan import common_prefix
from collavo.records import CrayonPrompt, Sample

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from collavo.engine.crayons import CrayonMaker
    from collavo.modeling.architectures.base import Architecture
    from collavo.pipeline.base import Pipeline


@dataclass(frozen=True)
class Row:
    """One question on its way through the model.

    Args:
        sample: The question.
        owner: Index of its image in the batch.
        prompt: The whole prompt.
        tokens: Its token ids.
        prefix: How many of them its image's questions share.
    """

    sample: Sample
    owner: int
    prompt: str
    tokens: tuple[int, ...]
    prefix: int

    @property
    def suffix(self) -> tuple[int, ...]:
        """The tokens of its own."""
        return self.tokens[self.prefix :]


@dataclass(frozen=True)
class Batch:
    """The inputs of some images (or of questions without image) and of all their open questions.

    Args:
        items: The images, B of them.
        rows: The questions.
        pixels: uint8 RGB (B, 3, H, W), None without image.
        crayon: Their Crayon Prompt, None without maps.
        texts: Their crayon text, None where there is none.
        seen: The sentence about the objects of each image, told to the model or not.
    """

    items: Sequence[Loaded]
    rows: Sequence[Row]
    pixels: UInt8[torch.Tensor, "batch 3 height width"] | None
    crayon: CrayonPrompt | None
    texts: Sequence[str | None]
    seen: Sequence[str]

    def crayon_of(self, rows: Sequence[Row]) -> CrayonPrompt | None:
        """Repeats the Crayon Prompt of each row's image."""
        maps = self.crayon
        if maps is None or maps.semantic is None or maps.number is None:
            return None
        owners = [r.owner for r in rows]
        index = torch.tensor(owners, device=maps.semantic.device)
        text = [maps.text[owner] for owner in owners]
        return CrayonPrompt(maps.semantic[index], maps.number[index], text)


class Stats:
    """Sums over a run: seconds by part of the work, and what was computed."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, name: str, amount: float) -> None:
        """Adds to one sum; safe from several threads."""
        with self._lock:
            self.sums[name] += amount

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds the time within to `seconds_<part>`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(f"seconds_{part}", time.perf_counter() - start)


class Preparer:
    """Makes the inputs of a batch.

    Args:
        architecture: The model.
        pipeline: Words the questions.
        crayons: Makes Crayon Prompts.
        device: The torch device string.
        stats: Where times are summed.
        share_words: Look for what prompts without image have in common, too.
    """

    def __init__(
        self,
        architecture: Architecture,
        pipeline: Pipeline,
        crayons: CrayonMaker,
        device: str,
        stats: Stats,
        share_words: bool = False,
    ) -> None:
        self._architecture, self._pipeline, self._crayons = architecture, pipeline, crayons
        self._device, self._stats = device, stats
        self._share_words = share_words

    def prepare(self, items: Sequence[Loaded], share: bool = True) -> Batch:
        """Makes the inputs of the open questions of `items`.

        Args:
            items: Units, all with or all without image.
            share: Look for the tokens that all questions of an image have in common.
        """
        if items[0].unit.image is None:
            texts: list[str | None] = [None] * len(items)
            rows = self._rows(items, texts, share and self._share_words)
            return Batch(items, rows, None, None, texts, [""] * len(items))
        pixels = self._pixels(items)
        with self._stats.timed("segmentation"):
            crayon, seen = self._crayons.make(items, pixels)
        texts = list(crayon.text) if crayon is not None else [None] * len(items)
        maps = crayon if crayon is not None and crayon.semantic is not None else None
        self._stats.add("images", len(items))
        return Batch(items, self._rows(items, texts, share), pixels, maps, texts, seen)

    def segment(self, items: Sequence[Loaded]) -> None:
        """Finds the segments of images ahead of `prepare`; may run in a thread of its own."""
        pixels = self._pixels(items)
        with self._stats.timed("segmentation"):
            self._crayons.find(items, pixels)

    def _pixels(self, items: Sequence[Loaded]) -> torch.Tensor:
        with self._stats.timed("copy"):
            pixels = torch.from_numpy(np.stack([i.pixels for i in items if i.pixels is not None]))
            if self._device.startswith("cuda"):
                pixels = pixels.pin_memory().to(self._device, non_blocking=True)
            return pixels.permute(0, 3, 1, 2).contiguous()

    def _rows(self, items: Sequence[Loaded], texts: Sequence[str | None], share: bool) -> list[Row]:
        rows = []
        with self._stats.timed("tokens"):
            for owner, (item, text) in enumerate(zip(items, texts, strict=True)):
                group = item.unit.group if share else item.pending
                worded = {s.sample_id: self._worded(s, text) for s in group}
                shared = common_prefix([ids for _, ids in worded.values()]) if share else 0
                rows += [Row(s, owner, *worded[s.sample_id], shared) for s in item.pending]
        return rows

    def _worded(self, sample: Sample, text: str | None) -> tuple[str, tuple[int, ...]]:
        """Returns the prompt of a sample and its token ids."""
        prompt = self._architecture.render(self._pipeline.prompt(sample), text)
        tokens = self._architecture.tokenize(prompt)
        if sample.image is None:
            image = getattr(self._architecture, "image_token_id", None)
            tokens = [token for token in tokens if token != image]
        return prompt, tuple(tokens)
