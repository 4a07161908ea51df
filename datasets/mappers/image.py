"""Opens images of every mode as RGB, and names the image that cannot be opened."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from collavo.errors import DataError
from collavo.records import ImageRef

logger = logging.getLogger(__name__)

MAX_PIXELS = 89_478_485
"""Larger images are refused as decompression bombs (Pillow's own limit: 1/4 GiB of RGB)."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""Formats that are tried. Others of Pillow's run outside programs (EPS) or are no photographs."""

_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
)
_ORIENTATION = 0x0112  # the EXIF tag
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def open_image(ref: ImageRef) -> Image.Image:
    """Opens an image as RGB, turned as its EXIF orientation says.

    Alpha is dropped, as the original's `convert("RGB")` does; greyscale of 16 bits is scaled to 8
    where Pillow's conversion would clip it; of an animation the first frame is taken.

    Args:
        ref: The image.

    Returns:
        The image in mode RGB.

    Raises:
        DataError: It is missing, empty, cut off, no image, or has more than `MAX_PIXELS` pixels;
            the message names it.
    """
    with _opened(ref) as image:
        image.seek(0)
        image.load()
        return _to_rgb(_turned(image, ref.label))


@dataclass(frozen=True)
class Frame:
    """How an image's pixels lie in its file.

    Args:
        stored: Width and height of the pixels as they are stored.
        orientation: The EXIF orientation, 2 to 8 where `open_image` turns them, else 1.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of what `open_image` gives."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def frame_of(ref: ImageRef) -> Frame:
    """Reads an image's frame from its header, without its pixels.

    Raises:
        DataError: As `open_image`, as far as the header tells.
    """
    with _opened(ref) as image:
        try:
            found = image.getexif().get(_ORIENTATION)
        except _BROKEN:  # `open_image` warns of it and turns nothing
            found = None
        orientation = int(found) if found is not None and found in range(2, 9) else 1
        # Pillow gives a TIFF's size as it will be after it has turned it
        swapped = image.format == "TIFF" and orientation >= 5
        return Frame(image.size[::-1] if swapped else image.size, orientation)


@contextmanager
def _opened(ref: ImageRef) -> Iterator[Image.Image]:
    """Opens an image's header; what goes wrong there or with its pixels is told in words."""
    data = _read(ref)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(ref, f"{image.width} x {image.height} pixels"))
            yield image
    except DataError:
        raise
    except _BOMB as error:
        raise DataError(_too_large(ref, str(error))) from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"image {ref.label} is no {', '.join(FORMATS)} file; fetch it again"
        ) from error
    except _BROKEN as error:
        raise DataError(
            f"image {ref.label} is damaged or cut off: {error}; fetch it again"
        ) from error


def read_image(ref: ImageRef) -> bytes:
    """Reads an encoded image.

    Raises:
        DataError: It is missing or cannot be read; the message names it.
    """
    try:
        return ref.read()
    except FileNotFoundError as error:
        raise DataError(
            f"image {ref.label} is not there; check its path, or the dataset's image folder"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"image {ref.label} cannot be read: {error}") from error


def _read(ref: ImageRef) -> bytes:
    data = read_image(ref)
    if not data:
        raise DataError(f"image {ref.label} is empty (0 bytes); fetch it again")
    return data


def _too_large(ref: ImageRef, what: str) -> str:
    return (
        f"image {ref.label} is too large: {what}; at most {MAX_PIXELS} pixels are opened "
        "(collavo.datasets.mappers.image.MAX_PIXELS)"
    )


def _turned(image: Image.Image, label: str) -> Image.Image:
    """Applies the EXIF orientation; a broken EXIF block is no reason to lose the image."""
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN as error:
        logger.warning("image %s: its EXIF block is broken (%s); not turned", label, error)
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("P", "PA"):
        # By way of RGBA: Pillow warns of a palette whose transparency is a table.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scales grey values to [0, 255]: 16 bits by 1/257, floats from [0, 1], wider integers by max.

    Args:
        values: (H, W) grey values of more than 8 bits.

    Returns:
        (H, W) uint8.
    """
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(grey.max(initial=0.0))
    if values.dtype.kind == "f":
        scale = 255.0 if top <= 1.0 else 1.0
    else:
        scale = 255.0 / max(top, 65535.0)
    return np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8)
