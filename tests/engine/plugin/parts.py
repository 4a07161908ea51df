"""Parts of a model's own: a vision encoder of strips, their projector and their image policy."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from collavo.errors import DataError
from collavo.modeling.image_policies.base import ImagePolicy, VisualInput
from collavo.modeling.projectors.base import Projector
from collavo.modeling.vision_encoders.base import VisionEncoder, VisionFeatures
from collavo.registry import IMAGE_POLICIES, PROJECTORS, VISION_ENCODERS

HEIGHT = 16
"""Pixels: images are brought to this height; how wide they are is their own."""


@VISION_ENCODERS.register("strips")
class Strips(VisionEncoder):
    """One patch for each strip of 16 x 8 pixels, in two levels; images of any width."""

    image_size = HEIGHT
    width = 12

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        self.fields = {"channels": channels}
        self.width = channels
        self.grid = (1, 2)
        self.linear = nn.Linear(3 * HEIGHT * 8, channels)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, images):
        if images.shape[2] != HEIGHT or images.shape[3] % 8:
            raise DataError(f"strips are {HEIGHT} pixels high, in steps of 8; got {images.shape}")
        strips = images.unflatten(3, (-1, 8)).permute(0, 3, 1, 2, 4).flatten(2)  # (B, N, 3*16*8)
        low = self.linear(strips.to(self.linear.weight.dtype) / 255)
        high = self.norm(low.transpose(1, 2)).transpose(1, 2)
        return VisionFeatures([low, high], (1, strips.shape[1]))


@PROJECTORS.register("both_levels")
class BothLevels(Projector):
    """Joins two levels."""

    num_levels = 2

    def __init__(self, vision: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * vision, width)

    def forward(self, levels):
        return self.linear(torch.cat(list(levels[-2:]), dim=-1))


@IMAGE_POLICIES.register("strip_height")
class StripHeight(ImagePolicy):
    """Brings images to the strips' height and keeps their proportions."""

    def __call__(self, image: Image.Image) -> VisualInput:
        strips = max(1, round(image.width / image.height * HEIGHT / 8))
        pixels = np.array(image.resize((8 * strips, HEIGHT)), dtype=np.uint8)
        tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        return VisualInput({"pixel_values": tensor}, strips, strips)


@VISION_ENCODERS.register("flat")
class Flat(Strips):
    """The same with one level."""

    def forward(self, images):
        found = super().forward(images)
        return VisionFeatures(found.levels[-1:], found.grid)


@PROJECTORS.register("wrong_width")
class WrongWidth(Projector):
    """Makes embeddings that no LLM takes."""

    def __init__(self, vision: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(vision, width + 1)

    def forward(self, levels):
        return self.linear(levels[-1])


@PROJECTORS.register("pairs")
class Pairs(Projector):
    """One token for two patches, which must be even in number."""

    def __init__(self, vision: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * vision, width)

    def num_tokens(self, grid):
        return grid[0] * grid[1] // 2

    def forward(self, levels):
        last = levels[-1]
        return self.linear(last.reshape(len(last), last.shape[1] // 2, -1))


@PROJECTORS.register("halved")
class Halved(Pairs):
    """The same, and drops what is odd."""

    def forward(self, levels):
        last = levels[-1]
        return super().forward([last[:, : last.shape[1] // 2 * 2]])
