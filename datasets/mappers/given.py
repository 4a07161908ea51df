"""Images as callers in Python hold them: files, bytes, PIL images and arrays of pixels."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from collavo.errors import DataError
from collavo.records import ImageRef

ImageLike = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | ImageRef
"""A file, an encoded image, or pixels: uint8 (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""

Images = list[Any] | tuple[Any, ...]
"""A list of `ImageLike`."""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def image_ref(image: ImageLike, name: str = "") -> ImageRef:
    """Returns where an image lies; pixels are encoded without loss.

    Args:
        image: A path, encoded bytes, a PIL image, or a uint8 array of pixels.
        name: What messages call it.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(image, ImageRef):
        return image
    if isinstance(image, (str, os.PathLike)):
        return ImageRef(path=Path(image))
    if isinstance(image, bytes):
        return ImageRef(data=image, name=name)
    if isinstance(image, np.ndarray):
        channels = image.shape[2] if image.ndim == 3 else 1
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4):
            raise DataError(
                f"an image array is {image.dtype} {image.shape}; it has to be uint8 of shape "
                "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), values 0 to 255"
            )
        image = Image.fromarray(image[..., 0] if image.ndim == 3 and channels == 1 else image)
    if isinstance(image, Image.Image):
        stream = io.BytesIO()
        if image.mode in _PNG_MODES:
            image.save(stream, format="PNG", exif=image.getexif(), compress_level=1)
        else:
            image.save(stream, format="TIFF", exif=image.getexif())
        return ImageRef(data=stream.getvalue(), name=name or str(getattr(image, "filename", "")))
    raise DataError(
        f"an image is a path, bytes, a PIL image or a uint8 array, not a {type(image).__name__}"
    )


def paired(image: Any, question: Any) -> list[tuple[ImageRef, str]]:
    """Returns the questions with their images, one for one.

    Args:
        image: One image or a list of them.
        question: One question or a list of them.

    Raises:
        DataError: The lists differ in length, or something is no image or no question.
    """
    several = isinstance(image, (list, tuple))
    questions = None if isinstance(question, str) else list(question)
    if several:
        refs = [image_ref(one, f"image {i}") for i, one in enumerate(image)]
    else:
        refs = [image_ref(image)] * (1 if questions is None else len(questions))
    count = len(refs)
    if questions is not None and len(questions) != count:
        raise DataError(
            f"{count} images came with {len(questions)} questions; give as many of the one as of "
            "the other, or a single one"
        )
    texts = [question] * count if questions is None else questions
    for text in texts:
        if not isinstance(text, str):
            raise DataError(f"a question is text, not a {type(text).__name__}")
    return list(zip(refs, texts, strict=True))
