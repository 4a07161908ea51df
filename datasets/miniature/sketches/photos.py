"""Takes the quality out of pictures: what a bad camera, bad light or a bad file does."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter


def dark(image: Image.Image) -> Image.Image:
    """Far too little light."""
    return ImageEnhance.Brightness(image).enhance(0.22)


def bright(image: Image.Image) -> Image.Image:
    """Far too much light: pale parts burn out."""
    return Image.fromarray(
        np.clip(np.asarray(image, np.float32) * 1.5 + 90, 0, 255).astype(np.uint8)
    )


def blurred(image: Image.Image, radius: float = 5) -> Image.Image:
    """Out of focus; `radius` in pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def shaken(image: Image.Image, length: int = 25) -> Image.Image:
    """Blurred by a movement from left to right of `length` pixels."""
    pixels = np.asarray(image, np.float32)
    shifted = [np.roll(pixels, k - length // 2, axis=1) for k in range(length)]
    return Image.fromarray(np.mean(shifted, axis=0).round().astype(np.uint8))


def noisy(image: Image.Image, seed: int, strength: float = 45) -> Image.Image:
    """Grain of the given standard deviation, in steps of 256."""
    # RandomState, unlike Generator, promises the same numbers in every release of numpy.
    draw = np.random.RandomState(seed % 2**32)
    grain = draw.randint(-256, 257, (*image.size[::-1], 3)) * (strength / 148)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def squeezed(image: Image.Image) -> Image.Image:
    """Blocks of an overly small JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=4)
    return Image.open(buffer).convert("RGB")


def gray(image: Image.Image) -> Image.Image:
    """Without any colour."""
    return image.convert("L").convert("RGB")


def vivid(image: Image.Image) -> Image.Image:
    """With colours stronger than they were."""
    return ImageEnhance.Color(image).enhance(1.7)
