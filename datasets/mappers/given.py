"""Images as callers in Python hold them: files, addresses, bytes, streams, PIL images, pixels."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

import numpy as np
import torch
from PIL import Image

from collavo.datasets.mappers.fetched import fetch, label_of
from collavo.datasets.registration.roots import LONGEST_PATH
from collavo.errors import DataError
from collavo.records import ImageRef

ImageLike = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | np.ndarray
    | torch.Tensor
    | ImageRef
)
"""One image, in any of these forms.

- a path; as text also a data URI, or an http(s) URL where the caller allows such;
- an encoded image (JPEG, PNG, ...): bytes, or a stream that gives them;
- a PIL image of any mode;
- a NumPy array, uint8 (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, values 0 to 255;
- a tensor, (H, W) or (C, H, W) with C 1, 3 or 4 (or channels last, as arrays have them): uint8
  0 to 255, or floating point 0 to 1.
"""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_CHANNELS = (1, 3, 4)
_SHOWN = 250
"""Letters of a path or an address that messages show whole."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def image_ref(image: ImageLike, name: str = "", urls: bool = False) -> ImageRef:
    """Returns where an image lies; pixels are encoded without loss.

    Args:
        image: The image, in one of the forms of `ImageLike`.
        name: What messages call it.
        urls: Whether an http(s) URL is fetched; else it is refused.

    Raises:
        DataError: It is none of these, or a URL that is not allowed or cannot be fetched.
    """
    if isinstance(image, ImageRef):
        return image
    if isinstance(image, str):
        return _of_text(image, name, urls)
    if isinstance(image, os.PathLike):
        return ImageRef(path=Path(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return ImageRef(data=bytes(image), name=name)
    if isinstance(image, torch.Tensor):
        image = _of_tensor(image)
    if isinstance(image, np.ndarray):
        image = _of_array(image)
    if isinstance(image, Image.Image):
        return ImageRef(data=_encoded(image), name=name or _file_name(image))
    if hasattr(image, "read"):
        return ImageRef(data=_of_stream(image), name=name or _file_name(image))
    raise DataError(
        "an image is a path, a data URI, a URL, bytes, a stream of bytes, a PIL image, a uint8 "
        f"array or a tensor, not a {type(image).__name__}"
    )


def paired(
    image: ImageLike | Sequence[ImageLike], question: str | Sequence[str], urls: bool = False
) -> list[tuple[ImageRef, str]]:
    """Returns the questions with their images, one for one.

    Args:
        image: One image or a list of them.
        question: One question or a list of them.
        urls: Whether http(s) URLs are fetched; each once.

    Raises:
        DataError: The lists differ in length, or something is no image or no question.
    """
    questions = None if isinstance(question, str) else _listed(question)
    if isinstance(image, (list, tuple)):
        known: dict[str, ImageRef] = {}
        refs = []
        for number, one in enumerate(image):
            key = one if isinstance(one, str) else ""
            ref = known.get(key) or image_ref(one, f"#{number}", urls)
            if key:
                known[key] = ref
            refs.append(ref)
    else:
        one_ref = image_ref(image, "", urls)  # type: ignore[arg-type]  # no list, so it is one
        refs = [one_ref] * (1 if questions is None else len(questions))
    count = len(refs)
    if questions is not None and len(questions) != count:
        raise DataError(
            f"{count} images came with {len(questions)} questions; give as many of the one as of "
            "the other, or a single one"
        )
    texts = [str(question)] * count if questions is None else questions
    for text in texts:
        # a tokenizer takes no half of a character
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DataError(
                f"the question {text!r:.80} holds half a surrogate pair, which is no text"
            )
    return list(zip(refs, texts, strict=True))


def _listed(questions: Sequence[str]) -> list[str]:
    if not isinstance(questions, (list, tuple)):
        raise DataError(f"a question is text, not a {type(questions).__name__}")
    for text in questions:
        if not isinstance(text, str):
            raise DataError(f"a question is text, not a {type(text).__name__}")
    return list(questions)


def _of_text(text: str, name: str, urls: bool) -> ImageRef:
    address = text.strip()
    if address[:5].lower() == "data:":
        return ImageRef(data=_of_data_uri(address), name=name or "<data URI>")
    scheme = _SCHEME.match(address)
    if scheme is None:
        return ImageRef(path=_of_path(text), name="" if len(text) <= _SHOWN else _short(text))
    if scheme[1].lower() not in ("http", "https"):
        raise DataError(
            f"an image's address begins with http:// or https://, not with {scheme[0]!r}; files "
            "are given by their path"
        )
    if not urls:
        raise DataError(
            f"the image {label_of(address)[:_SHOWN]} is a URL, and nothing is downloaded unasked: "
            "give urls=True to the Predictor, or download the image and give its path or bytes"
        )
    data, label = fetch(address)
    return ImageRef(data=data, name=label)


def _of_path(text: str) -> Path:
    if not text or "\0" in text or len(text) > LONGEST_PATH:
        raise DataError(
            f"{_short(text)!r} is no path of an image; one in base64 is given as a data URI "
            "(data:image/png;base64,...), or decoded, as bytes"
        )
    return Path(text)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:60]}... ({len(text):,} letters)"


def _of_data_uri(text: str) -> bytes:
    """Decodes `data:[type][;base64],...`. Source: RFC 2397."""
    head, comma, body = text.partition(",")
    if not comma:
        raise DataError(f"the data URI {text[:40]!r} has no comma between its type and its data")
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as error:
        raise DataError(f"the data URI {head[:40]!r} cannot be decoded: {error}") from error


def _of_stream(stream: BinaryIO) -> bytes:
    """Reads a stream from its beginning, where it can go back there."""
    if isinstance(stream, io.TextIOBase):
        raise DataError("an image's stream gives text, not bytes: open it in binary mode")
    try:
        # whoever has just written an image into it left it at its end
        if stream.seekable():
            stream.seek(0)
        data = stream.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise DataError(f"an image's stream cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise DataError(
            f"an image's stream gives bytes, not {type(data).__name__}: open it in binary mode"
        )
    return data


def _of_tensor(tensor: torch.Tensor) -> np.ndarray:
    """Returns a tensor's pixels as uint8 (H, W) or (H, W, C)."""
    if tensor.layout is not torch.strided or tensor.is_meta:
        raise DataError(
            "an image tensor is sparse or on the device meta; it has to hold its pixels"
        )
    shape = tuple(tensor.shape)
    flat = tensor.ndim == 2
    first = tensor.ndim == 3 and shape[0] in _CHANNELS
    last = tensor.ndim == 3 and shape[2] in _CHANNELS
    if not (flat or first or last) or not tensor.numel():
        raise DataError(
            f"an image tensor has the shape {shape}; it has to be (H, W) or (C, H, W), C being "
            "1, 3 or 4 channels: one image, without a batch axis"
        )
    pixels = tensor.detach().cpu()
    if tensor.is_floating_point():
        low, high = pixels.min().item(), pixels.max().item()
        if not 0.0 <= low <= high <= 1.0:  # not a number fails as well
            raise DataError(
                f"an image tensor of {tensor.dtype} has values from {low:g} to {high:g}; they have "
                "to be 0 to 1 (before a model's normalisation), or uint8 0 to 255"
            )
        pixels = (pixels.float() * 255).round().to(torch.uint8)
    if pixels.dtype != torch.uint8:
        raise DataError(
            f"an image tensor is {tensor.dtype}; it has to be uint8 with values 0 to 255, or "
            "floating point with values 0 to 1"
        )
    array: np.ndarray = (pixels.permute(1, 2, 0) if first else pixels).contiguous().numpy()
    return array


def _encoded(image: Image.Image) -> bytes:
    """Encodes the pixels of a PIL image without loss."""
    stream = io.BytesIO()
    try:
        exif = image.getexif()
        if image.mode in ("I", "F") or image.mode.startswith("I;16B"):
            image.save(stream, format="TIFF", exif=exif)
        else:
            # not as a TIFF: Pillow 12 cannot read the YCbCr ones that it writes
            kept = image if image.mode in _PNG_MODES else image.convert("RGB")
            kept.save(stream, format="PNG", exif=exif, compress_level=1)
    except (OSError, ValueError) as error:  # closed, cut off, without pixels, of an odd mode
        raise DataError(
            f"a PIL image of mode {image.mode} and {image.width} x {image.height} pixels cannot be "
            f"read: {error}"
        ) from error
    return stream.getvalue()


def _of_array(array: np.ndarray) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    fits = array.ndim in (2, 3) and channels in _CHANNELS and array.size
    if array.dtype != np.uint8 or not fits:
        raise DataError(
            f"an image array is {array.dtype} {array.shape}; it has to be uint8 of shape "
            "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), values 0 to 255"
        )
    return Image.fromarray(array[..., 0] if array.ndim == 3 and channels == 1 else array)


def _file_name(holder: object) -> str:
    """What an opened image or file calls the file it came from."""
    for field in ("filename", "name"):
        found = getattr(holder, field, "")
        if isinstance(found, str) and found:
            return found
    return ""
