"""Policies that bring an image to a square of the encoder's size: squashed, padded or cropped."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from collavo.modeling.image_policies.base import ImagePolicy, VisualInput
from collavo.modeling.image_policies.resize import resize
from collavo.registry import IMAGE_POLICIES

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import UInt8

    from collavo.modeling.projectors.base import Projector
    from collavo.modeling.vision_encoders.base import VisionEncoder


class SquarePolicy(ImagePolicy):
    """Makes the tensor `pixel_values`, uint8 RGB (3, size, size), which is the picture, too.

    Args:
        size: Height and width in pixels.
        num_tokens: Visual tokens that the model makes of such a square.
        mean: RGB in [0, 1] that the encoder subtracts; what padding is filled with.
    """

    def __init__(self, size: int, num_tokens: int, mean: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        self.size, self.num_tokens, self.mean = size, num_tokens, tuple(mean)

    @classmethod
    def before(cls, encoder: VisionEncoder, projector: Projector) -> Self:
        return cls(encoder.image_size, projector.num_tokens(encoder.grid), encoder.mean)

    def __call__(self, image: Image.Image) -> VisualInput:
        pixels = np.array(self.square(image), dtype=np.uint8)
        return square_input(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), self.num_tokens)

    @abstractmethod
    def square(self, image: Image.Image) -> Image.Image:
        """Returns the image as a square of `size` pixels a side."""


def square_input(pixels: UInt8[Tensor, "3 size size"], num_tokens: int) -> VisualInput:
    """Wraps pixels that are a square of the encoder's size already; RGB in [0, 255]."""
    return VisualInput({"pixel_values": pixels}, num_tokens, tuple(pixels.shape), pixels)


@IMAGE_POLICIES.register("squash")
class Squash(SquarePolicy):
    """Squashes an image to a square, without keeping its proportions.

    The resampling is Pillow's BILINEAR, as detectron2's T.Resize uses it on uint8 images.
    Source: the dataset mappers of ByungKwanLee/CoLLaVO (size 490).
    """

    def square(self, image: Image.Image) -> Image.Image:
        return resize(image, (self.size, self.size), Image.Resampling.BILINEAR)


@IMAGE_POLICIES.register("pad")
class PadToSquare(SquarePolicy):
    """Pads the shorter side on both ends with the encoder's mean colour, then resizes.

    Source: haotian-liu/LLaVA commit c121f04, llava/mm_utils.py, `expand2square`; the resampling is
    the CLIP processor's BICUBIC.
    """

    def square(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        side = max(width, height)
        if width != height:
            fill = tuple(int(channel * 255) for channel in self.mean)  # truncated, as there
            padded = Image.new("RGB", (side, side), fill)
            padded.paste(image, ((side - width) // 2, (side - height) // 2))
            image = padded
        return resize(image, (self.size, self.size), Image.Resampling.BICUBIC)


@IMAGE_POLICIES.register("crop")
class ShortestEdgeCrop(SquarePolicy):
    """Resizes the shorter side to the encoder's size and keeps the middle: CLIP's own processor.

    Source: transformers' CLIPImageProcessor (`do_resize` by shortest_edge, BICUBIC, then
    `do_center_crop`).
    """

    def square(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        short, long = min(width, height), max(width, height)
        if short != self.size:
            longer = max(self.size, int(self.size * long / short))
            size = (self.size, longer) if width <= height else (longer, self.size)
            image = resize(image, size, Image.Resampling.BICUBIC)
        left, top = (image.width - self.size) // 2, (image.height - self.size) // 2
        return image.crop((left, top, left + self.size, top + self.size))
