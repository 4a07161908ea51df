"""The mapper of visual question answering: an image file becomes a square array."""

from __future__ import annotations

import numpy as np
from PIL import Image

from collavo.datasets.mappers.image import open_image
from collavo.records import ImageRef
from collavo.registry import MAPPERS


@MAPPERS.register("vqa")
class ImageMapper:
    """Squashes an image to a square, without keeping its proportions.

    The resampling is Pillow's BILINEAR, as detectron2's T.Resize uses it on uint8 images.
    Source: the dataset mappers of ByungKwanLee/CoLLaVO (size 490).

    Args:
        size: Height and width of the result, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, ref: ImageRef) -> np.ndarray:
        """Opens and resizes one image.

        Returns:
            (size, size, 3) uint8, RGB in [0, 255].

        Raises:
            DataError: The image cannot be opened; the message names it.
        """
        image = open_image(ref)
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.array(image, dtype=np.uint8)
