"""What CoLLaVO computes of images before its LLM: visual embeddings and the crayon's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.errors import DataError
from collavo.modeling.adapters.injection import CrayonTerm, Injection

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

    from collavo.modeling.architectures.collavo import CoLLaVO
    from collavo.modeling.ops.merge_embeds import Layout
    from collavo.records import CrayonPrompt


@dataclass(frozen=True)
class Sight:
    """All that the LLM gets of a batch of images.

    Args:
        image: (B, N, D) visual tokens.
        features: (P, D) projected crayon of each distinct (class, number) pair, or None.
        index: (B, N) the pair of each visual token, or None.
    """

    image: Float[Tensor, "batch tokens width"]
    features: Float[Tensor, "pairs width"] | None = None
    index: Int[Tensor, "batch tokens"] | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        parts = (self.image, self.features, self.index)
        return sum(p.untyped_storage().nbytes() for p in parts if p is not None)

    def injection(self, layout: Layout) -> Injection:
        """Tells PLoRA where the images lie; image i is the layout's i-th."""
        batch, length = layout.ids.shape
        crayon = None
        if self.features is not None and self.index is not None:
            index = self.index if layout.span is not None else self.index.flatten()
            crayon = CrayonTerm(self.features, index)
        rows = layout.rows if layout.span is None else None
        return Injection(layout.span, rows, crayon, batch, length)

    def split(self) -> list[Sight]:
        """Returns one sight an image, each in memory of its own."""
        parts: list[Sight] = []
        for i in range(len(self.image)):
            image = self.image[i : i + 1].clone()
            if self.features is None or self.index is None:
                parts.append(Sight(image))
                continue
            used, index = self.index[i : i + 1].unique(return_inverse=True)
            parts.append(Sight(image, self.features[used], index))
        return parts

    @staticmethod
    def join(parts: Sequence[Sight]) -> Sight:
        """Returns the batch of several sights; all have a crayon or none has.

        Raises:
            ValueError: Some have a crayon and some have none.
        """
        image = torch.cat([p.image for p in parts])
        features = [p.features for p in parts if p.features is not None]
        indices = [p.index for p in parts if p.index is not None]
        if not features:
            return Sight(image)
        if len(features) != len(parts):
            raise ValueError("images with and without a crayon cannot be in one batch")
        sizes = torch.tensor([0, *(len(f) for f in features[:-1])]).cumsum(0).tolist()
        moved = [index + start for index, start in zip(indices, sizes, strict=True)]
        return Sight(image, torch.cat(features), torch.cat(moved))


def look(
    model: CoLLaVO, pixel_values: UInt8[Tensor, "batch 3 height width"]
) -> list[Float[Tensor, "batch patches vision"]]:
    """Returns the levels of visual features of images, RGB in [0, 255].

    Raises:
        DataError: They are of another size than the model takes.
    """
    if pixel_values.shape[-2:] != (model.image_size, model.image_size):
        raise DataError(
            f"images are {tuple(pixel_values.shape[-2:])} pixels; the model takes "
            f"{model.image_size} x {model.image_size}"
        )
    return model.vision_encoder(pixel_values.to(model.device)).levels


def sight_of(
    model: CoLLaVO,
    levels: Sequence[Float[Tensor, "batch patches vision"]],
    crayon: CrayonPrompt | None,
) -> Sight:
    """Projects visual features and the Crayon Prompt of the same images.

    Raises:
        DataError: The maps are of another shape than the patches.
    """
    image = model.projector(levels)
    if crayon is None or crayon.semantic is None or crayon.number is None:
        return Sight(image)
    if tuple(crayon.semantic.shape) != (len(image), *model.grid):
        raise DataError(
            f"the crayon map is {tuple(crayon.semantic.shape)}; "
            f"{len(image)} images need {(len(image), *model.grid)}"
        )
    pairs = model.crayon.pairs(crayon.semantic, crayon.number)
    return Sight(image, model.crayon_projector.project(model.crayon(pairs)), pairs.index)
