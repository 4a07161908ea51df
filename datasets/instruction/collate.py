"""Puts encoded conversations into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.errors import DataError
from collavo.modeling.llms.chat import IGNORE_INDEX
from collavo.records import CrayonPrompt

if TYPE_CHECKING:
    from jaxtyping import Int

    from collavo.modeling.image_policies.base import VisualInput


@dataclass(frozen=True)
class Example:
    """One conversation, encoded, with its images read.

    Args:
        ids: Token ids; an image is one id.
        labels: One for each id, IGNORE_INDEX where there is no loss.
        visuals: The images as the model takes them, in the order of their ids.
        crayon_text: The sentence in the prompt, None without.
        crayon: The Crayon Prompt of its images, maps (I, h, w); None without maps.
        sample_id: The conversation's id.
        task: The name of its source.
        kind: "image" or "vl".
    """

    ids: Sequence[int]
    labels: Sequence[int]
    visuals: tuple[VisualInput, ...] = ()
    crayon_text: str | None = None
    crayon: CrayonPrompt | None = None
    sample_id: str = ""
    task: str = ""
    kind: str = "vl"

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.labels):
            raise DataError(
                f"{self.sample_id}: {len(self.ids)} ids came with {len(self.labels)} labels"
            )


@dataclass(frozen=True)
class Batch:
    """A batch to train on.

    Args:
        input_ids: (B, T) int64; an image is one id.
        attention_mask: (B, T) int64, 0 at padding.
        labels: (B, T) int64, IGNORE_INDEX at padding and where there is no loss.
        visuals: The images, row by row.
        sample_ids: One a row.
        tasks: The name of each row's source.
        kind: "image" or "vl" where all rows are of that kind, else "".
        crayon: The images' maps (I, h, w) and each row's sentence; None without any.
        num_images: How many of the images are each row's.
    """

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Int[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]
    visuals: tuple[VisualInput, ...]
    sample_ids: tuple[str, ...]
    tasks: tuple[str, ...]
    kind: str
    crayon: CrayonPrompt | None = None
    num_images: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> Batch:
        """Returns the batch with its tensors on a device."""
        crayon = self.crayon
        if crayon is not None and crayon.semantic is not None and crayon.number is not None:
            crayon = replace(
                crayon, semantic=crayon.semantic.to(device), number=crayon.number.to(device)
            )
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            labels=self.labels.to(device),
            visuals=tuple(visual.to(device) for visual in self.visuals),
            crayon=crayon,
        )


def collate(examples: Sequence[Example], pad_id: int, side: str = "left") -> Batch:
    """Pads examples to one length and joins their images.

    Args:
        examples: At least one.
        pad_id: Stands at padding; its labels are IGNORE_INDEX whatever it is.
        side: "left" or "right": where padding is added. On the right a causal model needs no mask,
            and images that follow the same words stand at the same place in all rows.

    Raises:
        DataError: There is no example, or some images have crayon maps and others none.
    """
    if not examples:
        raise DataError("a batch needs at least one example")
    size = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), size), pad_id, dtype=torch.int64)
    labels = torch.full((len(examples), size), IGNORE_INDEX, dtype=torch.int64)
    mask = torch.zeros((len(examples), size), dtype=torch.int64)
    for row, example in enumerate(examples):
        count = len(example.ids)
        place = slice(size - count, size) if side == "left" else slice(0, count)
        ids[row, place] = torch.tensor(example.ids, dtype=torch.int64)
        labels[row, place] = torch.tensor(example.labels, dtype=torch.int64)
        mask[row, place] = 1
    kinds = {example.kind for example in examples}
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        labels=labels,
        visuals=tuple(visual for example in examples for visual in example.visuals),
        sample_ids=tuple(example.sample_id for example in examples),
        tasks=tuple(example.task for example in examples),
        kind=kinds.pop() if len(kinds) == 1 else "",
        crayon=_crayon(examples),
        num_images=tuple(len(example.visuals) for example in examples),
    )


def with_blank_image(
    batch: Batch, image_id: int, blank: VisualInput, maps: tuple[int, int] | None
) -> Batch:
    """Adds a row that is one image, and nothing to learn, to a batch without images.

    Args:
        batch: Padded on the right.
        image_id: The id of an image's token.
        blank: The image, on the batch's device.
        maps: The size of its empty crayon maps, None for none.
    """
    row = torch.zeros_like(batch.input_ids[:1])
    row[0, 0] = image_id
    mask = torch.zeros_like(batch.attention_mask[:1])
    mask[0, 0] = 1
    crayon = batch.crayon
    if maps is not None:
        empty = torch.zeros((1, *maps), dtype=torch.int64, device=row.device)
        crayon = CrayonPrompt(empty, empty, [] if crayon is None else crayon.text)
    return replace(
        batch,
        input_ids=torch.cat([batch.input_ids, row]),
        attention_mask=torch.cat([batch.attention_mask, mask]),
        labels=torch.cat([batch.labels, torch.full_like(row, IGNORE_INDEX)]),
        visuals=(blank,),
        crayon=crayon,
    )


def _crayon(examples: Sequence[Example]) -> CrayonPrompt | None:
    text = [example.crayon_text for example in examples]
    with_maps = [e for e in examples if e.crayon is not None and e.crayon.semantic is not None]
    if not with_maps:
        return CrayonPrompt(None, None, text) if any(t is not None for t in text) else None
    semantic, number = [], []
    for example in examples:
        maps = example.crayon
        given = 0 if maps is None or maps.semantic is None else len(maps.semantic)
        if given != len(example.visuals):
            raise DataError(
                f"{example.sample_id}: {len(example.visuals)} images came with {given} crayon "
                f"maps, and {with_maps[0].sample_id} of the batch has maps; give each its map"
            )
        if given and maps is not None and maps.semantic is not None and maps.number is not None:
            semantic.append(maps.semantic)
            number.append(maps.number)
    return CrayonPrompt(torch.cat(semantic), torch.cat(number), text)
