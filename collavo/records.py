"""Records between the parts: samples, conversations, segments, crayon prompts, stored answers."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from jaxtyping import Int


@dataclass(frozen=True)
class ImageRef:
    """Says where one image lies, without reading it.

    Exactly one of `path`, `data` and `cell` is set.

    Args:
        path: A file. With `root` set, the path must stay inside `root`, its ".." steps taken.
            Links below `root` may lead elsewhere: image folders often are links.
        root: The dataset's folder, against which `path` was joined.
        data: The encoded image itself (JPEG, PNG, ...).
        cell: Reads the encoded image from a table, anew at every read, so that tables stay on disk.
        name: What messages call the image; derived from `path` when empty.
    """

    path: Path | None = None
    root: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    cell: Callable[[], bytes] | None = field(default=None, repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        given = [x for x in ("path", "data", "cell") if getattr(self, x) is not None]
        if len(given) != 1:
            raise ValueError(f"ImageRef takes one of path, data, cell; got {given or 'none'}")
        if self.path is not None and self.root is not None:
            root = Path(os.path.abspath(self.root))
            if not Path(os.path.abspath(self.path)).is_relative_to(root):
                raise ValueError(f"image path {self.path} leaves the dataset folder {root}")

    @property
    def label(self) -> str:
        """The name for messages and stored records."""
        return self.name or (str(self.path) if self.path is not None else "<bytes>")

    @property
    def place(self) -> Hashable:
        """Tells images apart by where they lie; those in memory by their content."""
        if self.path is not None:
            return self.path
        if self.data is not None:
            return self.digest()
        return self.cell if isinstance(self.cell, Hashable) else id(self.cell)

    def read(self) -> bytes:
        """Reads the encoded image.

        Raises:
            FileNotFoundError: The file is not there.
        """
        if self.path is not None:
            return self.path.read_bytes()
        if self.cell is not None:
            return self.cell()
        assert self.data is not None, "checked in __post_init__"
        return self.data

    def digest(self) -> str:
        """The sha256 of the encoded bytes, in hex."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()


_ABSENT: Any = object()


@dataclass(frozen=True, init=False)
class Sample:
    """One question about some images (or none).

    Args:
        sample_id: Unique in its dataset, stable across machines: `<dataset>:<the benchmark's key>`.
        images: The images, in the order of the question's image tags; none for text alone.
        question: As the benchmark words it; "<image>" marks a place where the benchmark has one.
        question_id: The benchmark's own id, which may repeat (MME).
        options: The choices of a multiple-choice question, in order.
        answers: The references; empty where the split hides them.
        category: The benchmark's own grouping (POPE split, MME task, ...).
        extra: The benchmark's own fields, for its evaluator.
        image: Deprecated: the one image, or None, in the place of `images`.
    """

    sample_id: str
    images: tuple[ImageRef, ...]
    question: str
    question_id: str | int
    options: tuple[str, ...]
    answers: tuple[str, ...]
    category: str
    extra: Mapping[str, Any]

    def __init__(
        self,
        sample_id: str,
        images: Sequence[ImageRef] = _ABSENT,
        question: str = _ABSENT,
        question_id: str | int = _ABSENT,
        options: tuple[str, ...] = (),
        answers: tuple[str, ...] = (),
        category: str = "",
        extra: Mapping[str, Any] | None = None,
        *,
        image: ImageRef | None = _ABSENT,
    ) -> None:
        if image is not _ABSENT:
            if images is not _ABSENT:
                raise TypeError("a Sample takes images or image, not both")
            images = _one(image)
        elif images is None or isinstance(images, ImageRef):  # the second place was the image's
            images = _one(images)
        fields: dict[str, Any] = {
            "sample_id": sample_id, "images": images, "question": question,
            "question_id": question_id, "options": options, "answers": answers,
            "category": category, "extra": {} if extra is None else extra,
        }  # fmt: skip
        for name, value in fields.items():
            if value is _ABSENT:
                raise TypeError(f"Sample {sample_id!r} lacks {name}")
            value = tuple(value) if name == "images" else value
            object.__setattr__(self, name, value)  # as a frozen dataclass's own __init__ does

    @property
    def image(self) -> ImageRef | None:
        """Deprecated: the first of `images`, or None."""
        _warn_of_image(3)
        return self.images[0] if self.images else None


class ImageDeprecationWarning(DeprecationWarning):
    """`Sample.image` is used; the commands show it, which Python would keep from users."""


_warned = False


def _one(image: ImageRef | None) -> tuple[ImageRef, ...]:
    _warn_of_image(4)
    return one_image(image)


def _warn_of_image(stacklevel: int) -> None:
    """Warns once a process, at the caller's line."""
    global _warned
    if not _warned:
        warnings.warn(
            "Sample.image is deprecated: a sample has `images`, a tuple (empty without image). "
            "Write Sample(images=(ref,), ...) and read sample.images",
            ImageDeprecationWarning,
            stacklevel=stacklevel,
        )
        _warned = True  # behind the warning, so that one turned into an error stays one


def one_image(image: ImageRef | None) -> tuple[ImageRef, ...]:
    """Returns a sample's `images` where a row has one image or none."""
    return () if image is None else (image,)


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation to train on.

    Args:
        role: Who speaks, "user" or "assistant".
        text: What is said, without image tags.
    """

    role: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """One conversation about images (or none) to train on.

    Args:
        sample_id: Unique in its source: `<source>:<the row's own id>`.
        images: The images, in the order of their tags.
        turns: User and assistant in turns; the user begins, the assistant ends.
        kind: Which adapter of Dual QLoRA a step on it trains: "image" (crayon instructions,
            Image-CIT) or "vl" (visual instructions, VL-CIT).
        task: The name of its source.
        crayon_text: Whether the sentence about the objects may stand in the prompt; in crayon
            instructions it would give the answer away.
    """

    sample_id: str
    images: tuple[ImageRef, ...]
    turns: tuple[Turn, ...]
    kind: str = "vl"
    task: str = ""
    crayon_text: bool = True


@dataclass(frozen=True)
class Segment:
    """One panoptic segment.

    Args:
        id: The value that marks it in `Segments.ids`, from 1.
        label_id: The contiguous class id of the segmenter (COCO panoptic: 0..132).
        score: The class probability in [0, 1].
        color: Its colour in a word, where an annotation says it.
    """

    id: int
    label_id: int
    score: float = 1.0
    color: str = ""


@dataclass(frozen=True)
class Segments:
    """The panoptic segmentation of one image on the patch grid.

    Args:
        ids: (h, w) int32, 0 where no segment lies.
        segments: The segments in id order.
    """

    ids: Int[torch.Tensor, "h w"]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class CrayonPrompt:
    """The Crayon Prompt of a batch (CoLLaVO, arXiv 2402.11248, section 3).

    Args:
        semantic: (B, h, w) int64; 0 unknown, k + 1 for class k. None in modes without maps.
        number: (B, h, w) int64; 0 unknown, n for the n-th instance of its class, at most 20.
        text: The sentence about the objects, one an image; None in modes without text.
    """

    semantic: Int[torch.Tensor, "batch h w"] | None
    number: Int[torch.Tensor, "batch h w"] | None
    text: list[str | None]


@dataclass(frozen=True)
class Record:
    """What is stored of one answered (or failed) sample: one line of predictions.jsonl.

    `parsed`, `reference` and `correct` are filled when the run is scored.
    """

    sample_id: str
    question_id: str | int
    question: str
    image: str = ""
    category: str = ""
    prompt: str = ""
    crayon_text: str = ""
    answer: str | None = None
    parsed: str | None = None
    reference: str | list[str] | None = None
    correct: bool | float | None = None
    error: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
