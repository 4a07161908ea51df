"""The mapper of visual question answering: an image file becomes an RGB image."""

from __future__ import annotations

from PIL import Image

from collavo.datasets.mappers.image import open_image
from collavo.records import ImageRef
from collavo.registry import MAPPERS


@MAPPERS.register("vqa")
class ImageMapper:
    """Opens an image as it is; what size it is brought to is the model's own affair.

    A mapper of one's own may return an array, uint8 RGB (H, W, 3), as well.

    Args:
        size: The model's `image_size`, 0 where it has none; not used here.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = size

    def __call__(self, ref: ImageRef) -> Image.Image:
        """Opens one image.

        Returns:
            The image in mode RGB.

        Raises:
            DataError: The image cannot be opened; the message names it.
        """
        return open_image(ref)
