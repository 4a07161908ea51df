"""Training an eye to speak the language model's words: patches are told what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.engine.prepare import pictures_of
from collavo.engine.training.task import LossParts, Place
from collavo.engine.training.vlm_task import VLMTask
from collavo.errors import ConfigError, DataError
from collavo.modeling.architectures.composition import ComposedVLM

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

    from collavo.modeling.image_policies.base import VisualInput
    from collavo.records import Segment, Segments

TEMPERATURE = 0.07
"""Of the similarities. Source: CLIP's start (Radford et al., 2021, arXiv 2103.00020, 2.5)."""

COLORS = (
    "black", "white", "red", "green", "yellow", "blue", "brown", "purple", "pink", "orange", "gray",
)  # fmt: skip
"""The basic colour terms of English (Berlin and Kay, 1969)."""

LENGTH_STEPS = 4
"""Batches that the length of visual tokens is measured on before saving."""

SIDES = ("left", "right"), ("top", "bottom")
"""The ends of both axes of an image."""


@dataclass(frozen=True)
class PatchBatch:
    """Images with what each patch shows.

    Args:
        pixels: (I, 3, H, W) uint8 RGB in [0, 255].
        classes: (I, N) int64, rows of `CLEAN_NAMES`; -1 where no segment lies.
        colors: (I, N) int64, rows of `COLORS`; -1 where the annotation names none.
        names: The images' ids.
    """

    pixels: UInt8[Tensor, "images 3 height width"]
    classes: Int[Tensor, "images patches"]
    colors: Int[Tensor, "images patches"]
    names: tuple[str, ...]

    def to(self, device: torch.device | str) -> PatchBatch:
        """Returns the batch with its tensors on a device."""
        moved = {key: getattr(self, key).to(device) for key in ("pixels", "classes", "colors")}
        return replace(self, **moved)


class WordAlignment(nn.Module):
    """Vision encoder and projector, with the words that a visual token is compared to.

    Contrasts image and text as CLIP does, but patch by patch and with the text's side frozen: it is
    the language model's own embedding of the word, or the mean of its pieces. A patch is near the
    name of its class, near the word of its colour, and between "left" and "right", "top" and
    "bottom" as it lies in the image.

    Args:
        vlm: The model whose vision encoder and projector are trained.
    """

    classes: Tensor
    colors: Tensor
    sides: Tensor
    place: Tensor

    def __init__(self, vlm: ComposedVLM) -> None:
        super().__init__()
        self.vision_encoder, self.projector = vlm.vision_encoder, vlm.projector
        flat = [word for axis in SIDES for word in axis]
        for name, words in (("classes", CLEAN_NAMES), ("colors", COLORS), ("sides", flat)):
            self.register_buffer(name, word_vectors(vlm, words), persistent=False)
        self.register_buffer("place", places(vlm.grid), persistent=False)
        self.length = float(vlm.llm.get_input_embeddings().weight.detach().norm(dim=-1).mean())

    def forward(self, batch: PatchBatch) -> dict[str, Float[Tensor, ""]]:
        """Returns sums over patches.

        They are the losses `class`, `color` and `place`, and `right`, the number of patches whose
        nearest class is theirs.
        """
        seen = self.projector(self.vision_encoder(batch.pixels).levels).float()
        seen = F.normalize(seen, dim=-1) / TEMPERATURE
        named, colored = batch.classes >= 0, batch.colors >= 0
        scores = seen[named] @ self.classes.t()
        wanted = batch.classes[named]
        ends = (seen @ self.sides.t()).unflatten(-1, (2, 2)).log_softmax(-1)
        return {
            "class": F.cross_entropy(scores, wanted, reduction="sum"),
            "color": F.cross_entropy(
                seen[colored] @ self.colors.t(), batch.colors[colored], reduction="sum"
            ),
            "place": -(self.place * ends).sum(),
            "right": (scores.argmax(-1) == wanted).sum(),
        }

    @torch.no_grad()
    def match_lengths(self, images: Iterable[UInt8[Tensor, "images 3 height width"]]) -> None:
        """Scales the projector's last linear, so that visual tokens are as long as words.

        The losses are of angles and leave the length open; beside words, tokens of another length
        would drown or be drowned in the language model's residual stream.

        Args:
            images: RGB in [0, 255], to measure on.
        """
        last = [part for part in self.projector.modules() if isinstance(part, nn.Linear)][-1]
        seen = [self.projector(self.vision_encoder(each).levels).norm(dim=-1) for each in images]
        scale = self.length / torch.cat(seen).mean()
        last.weight.mul_(scale)
        if last.bias is not None:
            last.bias.mul_(scale)


@torch.no_grad()
def word_vectors(vlm: ComposedVLM, words: Sequence[str]) -> Float[Tensor, "words width"]:
    """Returns the mean embedding of each word's pieces, of length 1."""
    table = vlm.llm.get_input_embeddings().weight.float()
    tokenizer = vlm.known_tokenizer()
    pieces = [tokenizer.encode(f" {word}", add_bos=False) for word in words]
    means = [table[torch.tensor(each, device=table.device)].mean(0) for each in pieces]
    return F.normalize(torch.stack(means), dim=-1)


def places(grid: tuple[int, int]) -> Float[Tensor, "patches axes ends"]:
    """Returns how far each patch is from the far end of each axis: its shares of both ends."""
    down, across = ((torch.arange(cells) + 0.5) / cells for cells in grid)
    right = across.repeat(grid[0])
    bottom = down.repeat_interleave(grid[1])
    return torch.stack([torch.stack([1 - x, x], dim=-1) for x in (right, bottom)], dim=1)


class AlignmentTask(VLMTask):
    """Trains vision encoder and projector on panoptic annotations.

    Parameters are named `vision_encoder.…` and `projector.…`, as in the model. The export is the
    whole model.
    """

    name = "alignment"

    @classmethod
    def from_config(cls, cfg: Any, device: str, is_main: bool = True) -> AlignmentTask:
        """Builds model and data as the configuration says.

        Raises:
            ConfigError: A source has no panoptic maps, or the model no projected vision encoder.
        """
        task = super().from_config(cfg, device, is_main)
        assert isinstance(task, AlignmentTask), "built by this class"
        for source in task.data.mix.sources:
            if source.segments(0) is None:
                raise ConfigError(
                    f"TRAIN.DATA: {source.spec.name} has no panoptic maps; TRAIN.TASK alignment "
                    "takes miniature:crayon or panoptic:FILE.json?images=FOLDER"
                )
            if source.spec.classes != "coco":
                raise ConfigError(
                    f"TRAIN.DATA: {source.spec.name} has classes of its own; TRAIN.TASK alignment "
                    "knows the words of COCO's classes alone: leave classes=own out"
                )
        if not isinstance(task.vlm, ComposedVLM):
            raise ConfigError(
                "TRAIN.TASK alignment needs a vision_encoder and a projector, which "
                f"{cfg.MODEL.NAME} has not; set MODEL.NAME collavo"
            )
        task.model = WordAlignment(task.vlm).to(device)
        return task

    def load(self, step: int, place: Place) -> Any:
        """Reads this share of a step's images."""
        visuals: list[VisualInput] = []
        classes, colors, names = [], [], []
        for conversation, images in self._make.read(self.data.plan.step(step).refs[place.share]):
            for image in images:
                assert image.segments, "from_config asked for annotated sources"
                visuals += image.visuals
                classes.append(_labels(image.segments[0], lambda s: s.label_id))
                colors.append(_labels(image.segments[0], lambda s: _color(s.color)))
                names.append(conversation.sample_id)
        return PatchBatch(
            pictures_of(visuals, "cpu"), torch.stack(classes), torch.stack(colors), tuple(names)
        )

    def export(self, folder: Path) -> None:
        """Writes the whole model, its visual tokens as long as its words."""
        aligned: Any = self.model
        batches = (self.load(step, Place()) for step in range(LENGTH_STEPS))
        aligned.match_lengths(batch.to(self.vlm.device).pixels for batch in batches)
        super().export(folder)

    def counts(self, batch: Any) -> Tensor:
        """Patches with a class, with a colour, and all."""
        counted = (batch.classes >= 0).sum(), (batch.colors >= 0).sum(), batch.classes.numel()
        return torch.tensor([int(n) for n in counted], dtype=torch.float64)

    def tokens(self, batch: Any) -> int:
        """Patches."""
        return batch.classes.numel()

    def sample_ids(self, batch: Any) -> list[str]:
        return list(batch.names)

    def loss(self, model: nn.Module, batch: Any, totals: Tensor) -> LossParts:
        """The mean over patches of each kind of word; the log has the share of right classes."""
        named, colored, patches = (max(1.0, n) for n in totals.tolist())
        sums: Mapping[str, Tensor] = model(batch.to(self.vlm.device))
        shares = {
            "class": sums["class"] / named,
            "color": sums["color"] / colored,
            "place": sums["place"] / patches,
        }
        total = torch.stack(list(shares.values())).sum()
        return LossParts(total, {**shares, "accuracy": sums["right"] / named})


def _labels(segments: Segments, label: Callable[[Segment], int]) -> Int[Tensor, " patches"]:
    """A number for each patch: that of its segment, -1 without one."""
    table = torch.tensor([-1, *(label(segment) for segment in segments.segments)])
    return table[segments.ids.flatten().long()]


def _color(word: str) -> int:
    if word and word not in COLORS:
        raise DataError(f"a segment's color is {word!r}; allowed: {', '.join(COLORS)}, or none")
    return COLORS.index(word) if word else -1
