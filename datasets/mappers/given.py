"""Images as callers in Python hold them: files, bytes, PIL images, arrays, tensors, URLs."""

from __future__ import annotations

import base64
import binascii
import io
import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image

from collavo.errors import DataError
from collavo.records import ImageRef

ImageLike = (
    str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray | torch.Tensor | ImageRef
)
"""A file's path, a data URI or a URL; an encoded image as bytes or a binary file (BytesIO); or
pixels: a PIL image, a uint8 array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, or a uint8
tensor (H, W) or (C, H, W) of 1, 3 or 4 channels."""

Images = list[Any] | tuple[Any, ...]
"""A list of `ImageLike`."""

MOST_BYTES = 64 << 20
"""Bytes of a downloaded image at most."""

SECONDS = 30
"""How long a download may stand still."""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def image_ref(image: ImageLike, name: str = "", urls: bool = False) -> ImageRef:
    """Returns where an image lies; pixels are encoded without loss.

    Args:
        image: An image of one of the forms of `ImageLike`.
        name: What messages call it.
        urls: Whether http(s) URLs are downloaded.

    Raises:
        DataError: It is none of these, or a URL that may not or cannot be downloaded.
    """
    if isinstance(image, ImageRef):
        return image
    if isinstance(image, str) and image[:5].lower() == "data:":
        return ImageRef(data=_of_data_uri(image), name=name or "a data URI")
    if isinstance(image, str) and image[:8].lower().startswith(("http://", "https://")):
        return ImageRef(data=_downloaded(image, urls), name=image)
    if isinstance(image, (str, os.PathLike)):
        return ImageRef(path=Path(image))
    if isinstance(image, bytes):
        return ImageRef(data=image, name=name)
    if callable(getattr(image, "read", None)) and not isinstance(image, Image.Image):
        data = image.read()  # type: ignore[union-attr]
        if not isinstance(data, bytes):
            raise DataError(f"an image file has to be open in binary mode, not {image!r:.80}")
        return ImageRef(data=data, name=name or str(getattr(image, "name", "")))
    if isinstance(image, torch.Tensor):
        image = _of_tensor(image)
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
        exif = image.getexif()
        if image.mode in ("I", "F") or image.mode.startswith("I;16B"):
            image.save(stream, format="TIFF", exif=exif)
        else:
            # not as a TIFF: Pillow 12 cannot read the YCbCr ones that it writes
            kept = image if image.mode in _PNG_MODES else image.convert("RGB")
            kept.save(stream, format="PNG", exif=exif, compress_level=1)
        return ImageRef(data=stream.getvalue(), name=name or str(getattr(image, "filename", "")))
    raise DataError(
        "an image is a path, bytes, a binary file, a PIL image, a uint8 array or tensor, or a data "
        f"URI, not a {type(image).__name__}"
    )


def _of_data_uri(text: str) -> bytes:
    head, comma, body = text.partition(",")
    try:
        if not comma:
            raise ValueError("it has no comma")
        if head.lower().endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (ValueError, binascii.Error) as error:
        raise DataError(f"the data URI {text[:40]!r}... cannot be decoded: {error}") from error


def _downloaded(url: str, allowed: bool) -> bytes:
    if not allowed:
        raise DataError(
            f"{url!r:.200} is a URL, and nothing is downloaded unasked: give urls=True to the "
            "Predictor, or download the image and give its path"
        )
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as reply:
            data: bytes = reply.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        raise DataError(f"{url!r:.200} cannot be downloaded: {error}") from error
    if len(data) > MOST_BYTES:
        raise DataError(f"{url!r:.200} has more than {MOST_BYTES:,} bytes, too many for an image")
    return data


def _of_tensor(image: torch.Tensor) -> np.ndarray:
    """The pixels (H, W) or (H, W, C) of a tensor with its channels first, as torch has them."""
    channels = image.shape[0] if image.ndim == 3 else 1
    if image.dtype != torch.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise DataError(
            f"an image tensor is {image.dtype} {tuple(image.shape)}; it has to be torch.uint8 of "
            "shape (H, W) or (C, H, W) with 1, 3 or 4 channels, values 0 to 255"
        )
    pixels: np.ndarray = image.detach().cpu().numpy()
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)) if image.ndim == 3 else pixels


def paired(image: Any, question: Any, urls: bool = False) -> list[tuple[ImageRef, str]]:
    """Returns the questions with their images, one for one.

    Args:
        image: One image or a list of them.
        question: One question or a list of them.
        urls: Whether http(s) URLs are downloaded.

    Raises:
        DataError: The lists differ in length, or something is no image or no question.
    """
    several = isinstance(image, (list, tuple))
    questions = None if isinstance(question, str) else list(question)
    if several:
        refs = [image_ref(one, f"image {i}", urls) for i, one in enumerate(image)]
    else:
        refs = [image_ref(image, urls=urls)] * (1 if questions is None else len(questions))
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
