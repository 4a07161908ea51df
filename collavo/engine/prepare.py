"""From loaded images to model inputs: Crayon Prompts and tokens of a batch."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from collavo.engine.images import Loaded
from collavo.engine.plan import MAX_QUESTIONS, common_prefix, rendered
from collavo.errors import ConfigError
from collavo.records import CrayonPrompt, Sample

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from collavo.engine.crayons import CrayonMaker
    from collavo.modeling.architectures.base import Architecture
    from collavo.modeling.image_policies.base import VisualInput
    from collavo.pipeline.base import Pipeline


Worded = tuple[str, tuple[int, ...]]
"""A prompt and its token ids."""

GROUPS_KEPT = 4
"""Images of more than one unit whose prompts are kept; their units come one after the other."""


@dataclass(frozen=True)
class Row:
    """One question on its way through the model.

    Args:
        sample: The question.
        owner: Index of its images in the batch.
        prompt: The whole prompt.
        tokens: Its token ids.
        prefix: How many of them its images' questions share.
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
    """The inputs of some units, all with or all without images, and of all their open questions.

    Args:
        items: The units, B of them, each the images of its questions.
        rows: The questions.
        crayon: The Crayon Prompt of all images, unit by unit; None without maps.
        texts: The crayon text of each unit, None where there is none.
        seen: The sentence about the objects of each unit, told to the model or not.
    """

    items: Sequence[Loaded]
    rows: Sequence[Row]
    crayon: CrayonPrompt | None
    texts: Sequence[str | None]
    seen: Sequence[str]

    @property
    def pictured(self) -> bool:
        """Whether there are images."""
        return bool(self.items[0].visuals)

    @property
    def visuals(self) -> list[tuple[VisualInput, ...]]:
        """The images of each unit."""
        return [item.visuals for item in self.items]

    def image_tokens(self, owner: int) -> int:
        """Visual tokens of a unit's images."""
        return sum(visual.num_tokens for visual in self.items[owner].visuals)

    def places(self, owner: int) -> range:
        """Where a unit's images stand among those of all units."""
        first = sum(len(item.visuals) for item in self.items[:owner])
        return range(first, first + len(self.items[owner].visuals))

    def crayon_of(self, rows: Sequence[Row]) -> CrayonPrompt | None:
        """Repeats the Crayon Prompt of each row's images."""
        maps = self.crayon
        if maps is None or maps.semantic is None or maps.number is None:
            return None
        places = {owner: self.places(owner) for owner in {row.owner for row in rows}}
        chosen = [k for row in rows for k in places[row.owner]]
        index = torch.tensor(chosen, device=maps.semantic.device)
        text = [maps.text[image] for image in chosen]
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
        self._groups: dict[tuple[str, int, str | None], tuple[dict[str, Worded], int]] = {}

    def prepare(self, items: Sequence[Loaded], share: bool = True) -> Batch:
        """Makes the inputs of the open questions of `items`.

        Args:
            items: Units, all with or all without image.
            share: Look for the tokens that all questions of an image have in common.
        """
        texts: list[str | None] = [None] * len(items)
        seen = [""] * len(items)
        if not items[0].unit.images:
            rows = self._rows(items, texts, share and self._share_words)
            return Batch(items, rows, None, texts, seen)
        maps = None
        if self._crayons.segments_images:
            pictures = self._pictures(items)
            with self._stats.timed("segmentation"):
                crayon, sentences = self._crayons.make(items, pictures)
            texts = [_joined(part) for part in _by_item(items, crayon.text)]
            seen = [_joined(part) or "" for part in _by_item(items, sentences)]
            maps = crayon if crayon.semantic is not None else None
        self._stats.add("images", sum(len(item.visuals) for item in items))
        return Batch(items, self._rows(items, texts, share), maps, texts, seen)

    def segment(self, items: Sequence[Loaded]) -> None:
        """Finds the segments of images ahead of `prepare`; may run in a thread of its own."""
        pictures = self._pictures(items)
        with self._stats.timed("segmentation"):
            self._crayons.find(items, pictures)

    def _pictures(self, items: Sequence[Loaded]) -> UInt8[torch.Tensor, "images 3 height width"]:
        """What the segmenter is shown of all images, unit by unit."""
        with self._stats.timed("copy"):
            return pictures_of([visual for item in items for visual in item.visuals], self._device)

    def _rows(self, items: Sequence[Loaded], texts: Sequence[str | None], share: bool) -> list[Row]:
        rows = []
        with self._stats.timed("tokens"):
            for owner, (item, text) in enumerate(zip(items, texts, strict=True)):
                if share:
                    worded, shared = self._group(item.unit.group, text)
                else:
                    worded, shared = {s.sample_id: self._worded(s, text) for s in item.pending}, 0
                rows += [Row(s, owner, *worded[s.sample_id], shared) for s in item.pending]
        return rows

    def _group(self, group: tuple[Sample, ...], text: str | None) -> tuple[dict[str, Worded], int]:
        """Words all questions on an image, and counts the tokens that they begin with alike.

        The units of an image with very many questions share them: worded anew for each unit, the
        work would grow with the square of the questions.
        """
        key = (group[0].sample_id, len(group), text)
        if key not in self._groups:
            worded = {s.sample_id: self._worded(s, text) for s in group}
            shared = common_prefix([ids for _, ids in worded.values()])
            if len(group) <= MAX_QUESTIONS:  # one unit, which comes once
                return worded, shared
            self._groups[key] = worded, shared
            while len(self._groups) > GROUPS_KEPT:
                self._groups.pop(next(iter(self._groups)))
        return self._groups[key]

    def _worded(self, sample: Sample, text: str | None) -> Worded:
        """Returns the prompt of a sample and its token ids."""
        prompt = rendered(self._architecture, self._pipeline, sample, text)
        tokens = self._architecture.tokenize(prompt)
        if not sample.images:
            # a template may have a place for an image in every prompt
            tokens = [token for token in tokens if token != self._architecture.image_token_id]
        return prompt, tuple(tokens)


def pictures_of(
    visuals: Sequence[VisualInput], device: str
) -> UInt8[torch.Tensor, "images 3 height width"]:
    """Stacks what a segmenter is shown of images, on a device.

    Raises:
        ConfigError: The model's image policy makes no picture, so it can take no Crayon Prompt.
    """
    pictures = [visual.picture for visual in visuals if visual.picture is not None]
    if len(pictures) != len(visuals):
        raise ConfigError(
            "the model prepares images without a picture for the segmenter; set CRAYON.MODE none"
        )
    stack = torch.stack(pictures)
    if device.startswith("cuda"):
        return stack.pin_memory().to(device, non_blocking=True)
    return stack


T = TypeVar("T")


def _by_item(items: Sequence[Loaded], each: Sequence[T]) -> list[list[T]]:
    """Parts what there is of each image by unit."""
    rest = iter(each)
    return [[next(rest) for _ in item.visuals] for item in items]


def _joined(sentences: Sequence[str | None]) -> str | None:
    """The sentences about the objects of a unit's images as one; None where none has one."""
    return " ".join(s for s in sentences if s) if any(s is not None for s in sentences) else None
