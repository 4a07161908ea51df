"""Resizing as the originals had it: width first, then height, whatever Pillow's version does.

All preprocessing of our own resamples here. Mask2Former keeps transformers' processor, which calls
Pillow's `resize` itself: on the squares that it gets, every version goes width first; for other
shapes constraints.txt holds Pillow below 13.
"""

from __future__ import annotations

from PIL import Image


def resize(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """Resizes an image in two calls, its width and then its height.

    Pillow up to 12 resamples rows before columns and rounds to 8 bits in between. From 13 on it
    sometimes takes columns first, which rounds other numbers: a portrait photo squashed to 490 x
    490 then differs in a quarter of its pixels. Two calls fix the order.

    Args:
        image: Of any mode that can be resampled.
        size: Width and height of the result, in pixels.
        resample: The filter.

    Returns:
        The image at that size; the image itself where it has it.
    """
    width, height = size
    if image.width != width:
        image = image.resize((width, image.height), resample)
    return image if image.height == height else image.resize((width, height), resample)
