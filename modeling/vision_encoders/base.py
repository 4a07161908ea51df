"""The contract of a vision encoder: images in, levels of patch features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class VisionFeatures:
    """What a vision encoder makes of a batch of images.

    Args:
        levels: One (B, N, C) tensor for each level, the last one deepest; patches are row-major.
        grid: Rows and columns (h, w) of the last level's patches; N = h * w there.
    """

    levels: list[Float[Tensor, "batch patches vision"]]
    grid: tuple[int, int]


class VisionEncoder(nn.Module, ABC):
    """Turns square RGB images into levels of patch features."""

    width: int
    """Channels C of the last level."""

    image_size: int
    """Height and width in pixels of the images that it takes."""

    grid: tuple[int, int]
    """Rows and columns (h, w) of the last level's patches."""

    @abstractmethod
    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> VisionFeatures:
        """Encodes RGB images with values in [0, 255]; normalisation happens inside."""
