"""What CoLLaVO's decoder gets of images: visual tokens, and the crayon that PLoRA adds at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from collavo.modeling.adapters.injection import CrayonTerm, Injection
from collavo.modeling.architectures.image_embeds import ImageEmbeds

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, Int
    from torch import Tensor

    from collavo.modeling.ops.merge_embeds import Layout


@dataclass(frozen=True)
class CrayonEmbeds(ImageEmbeds):
    """Visual tokens with the crayon that lies on them.

    Args:
        crayon: (P, D) projected crayon of each distinct (class, number) pair, or None.
        index: (M,) the pair of each visual token, or None.
    """

    crayon: Float[Tensor, "pairs width"] | None = None
    index: Int[Tensor, " tokens"] | None = None

    @property
    def nbytes(self) -> int:
        held = (self.embeds, self.crayon, self.index)
        return sum(t.untyped_storage().nbytes() for t in held if t is not None)

    def injection(self, layout: Layout) -> Injection:
        """Tells PLoRA where the images lie; image i is the layout's i-th."""
        batch, length = layout.ids.shape
        term = None
        if self.crayon is not None and self.index is not None:
            # with one image at the same place in all rows the index is (B, N)
            index = self.index if layout.span is None else self.index.view(batch, -1)
            term = CrayonTerm(self.crayon, index)
        rows = layout.rows if layout.span is None else None
        return Injection(layout.span, rows, term, batch, length)

    def part(self, tokens: slice, counts: tuple[int, ...]) -> Self:
        part = super().part(tokens, counts)
        if self.crayon is None or self.index is None:
            return part
        used, index = torch.unique(self.index[tokens], return_inverse=True)
        return replace(part, crayon=self.crayon[used], index=index)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Returns all images of several parts; all have a crayon or none has.

        Raises:
            ValueError: Some have a crayon and some have none.
        """
        joined = super().join(parts)
        crayons = [p.crayon for p in parts if p.crayon is not None]
        indices = [p.index for p in parts if p.index is not None]
        if not crayons:
            return joined
        if len(crayons) != len(parts):
            raise ValueError("images with and without a crayon cannot be in one batch")
        starts = torch.tensor([0, *(len(c) for c in crayons[:-1])]).cumsum(0).tolist()
        moved = [index + start for index, start in zip(indices, starts, strict=True)]
        return replace(joined, crayon=torch.cat(crayons), index=torch.cat(moved))
