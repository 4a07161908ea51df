"""The contract of a projector: levels of visual features in, LLM embeddings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float

    from collavo.modeling.vision_encoders.base import VisionEncoder


class Projector(nn.Module, ABC):
    """Turns visual features into embeddings of the LLM's width."""

    num_levels: int = 1
    """How many of the encoder's levels it takes, counted from the last."""

    @classmethod
    def between(cls, encoder: VisionEncoder, width: int) -> Self:
        """Builds it for an encoder and an LLM; without a word more, `cls(encoder.width, width)`.

        Args:
            encoder: Says how wide its features are, and their grid.
            width: Width D of the LLM.

        Raises:
            UserError: It has no place between these two.
        """
        return cls(encoder.width, width)

    def num_tokens(self, grid: tuple[int, int]) -> int:
        """Returns how many visual tokens N it gives for a grid of (h, w) patches."""
        return grid[0] * grid[1]

    @abstractmethod
    def forward(
        self, levels: Sequence[Float[Tensor, "batch patches vision"]]
    ) -> Float[Tensor, "batch tokens width"]:
        """Projects the last `num_levels` of `levels`."""
