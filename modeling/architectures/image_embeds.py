"""What a decoder gets of images: visual tokens, image by image, to part and to join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True)
class ImageEmbeds:
    """What the decoder gets of some images.

    Args:
        embeds: (M, D) visual tokens, image by image.
        counts: Visual tokens of each image; their sum is M.
    """

    embeds: Float[Tensor, "tokens width"]
    counts: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        return self.embeds.untyped_storage().nbytes()

    def split(self, images: Sequence[int]) -> list[Self]:
        """Parts them, so many images a part, each part in memory of its own."""
        bounds = [0, *accumulate(images)]
        tokens = [0, *accumulate(self.counts)]
        return [
            self.part(slice(tokens[a], tokens[b]), self.counts[a:b]) for a, b in pairwise(bounds)
        ]

    def part(self, tokens: slice, counts: tuple[int, ...]) -> Self:
        """Copies the embeddings of neighbouring images."""
        return replace(self, embeds=self.embeds[tokens].clone(), counts=counts)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Returns all images of several parts, in order."""
        return replace(
            parts[0],
            embeds=torch.cat([part.embeds for part in parts]),
            counts=tuple(count for part in parts for count in part.counts),
        )
