"""The contract of a vision encoder: images in, levels of patch features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from collavo.errors import ConfigError

if TYPE_CHECKING:
    from typing import Self

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
    """Turns RGB images into levels of patch features.

    An encoder that MODEL.VISION_ENCODER is to name has `from_config`, whose fields go into the
    checkpoint's config.json as `fields`.
    """

    width: int
    """Channels C of the last level."""

    image_size: int
    """Height and width in pixels of the square images that it takes."""

    grid: tuple[int, int]
    """Rows and columns (h, w) of the last level's patches."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """RGB in [0, 1] that it subtracts, which is what images are padded with."""

    fields: Mapping[str, Any] = {}
    """What `from_config` builds it again from."""

    @classmethod
    def from_config(cls, fields: Mapping[str, Any], image_size: int, attn: str) -> Self:
        """Builds it with newly drawn weights; without a word more, `cls(**fields)`.

        Args:
            fields: As `fields` has them; {} for what is usual.
            image_size: Height and width of the images in pixels; 0 for what is usual.
            attn: transformers' name of the attention implementation.

        Raises:
            UserError: The fields do not fit.
        """
        return cls(**fields)

    @classmethod
    def load(cls, folder: str | Path, image_size: int, attn: str) -> Self:
        """Loads it from the folder that VISION.WEIGHTS names.

        Raises:
            UserError: The folder does not hold it.
        """
        raise ConfigError(
            f"VISION.WEIGHTS is {str(folder)!r}, but the vision encoder {cls.__name__} reads no "
            "weights of its own; leave it empty"
        )

    @abstractmethod
    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> VisionFeatures:
        """Encodes RGB images with values in [0, 255]; normalisation happens inside.

        Raises:
            DataError: They are of a size that it does not take.
        """
