"""Tells by names and values whether a field of a row holds an image, a video or an audio."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from collavo.datasets.registration.roots import ends_in, is_image_name
from collavo.records import ImageRef

_IMAGE_WORDS = frozenset(
    "image images img imgs picture pictures photo photos pic pics visual visuals screenshot "
    "screenshots figure thumbnail".split()
)
_OTHER_MEDIA = frozenset("video videos audio audios clip clips speech movie frames".split())
_ABOUT = frozenset(
    "type width height size sizes caption captions description count num number source category "
    "format license title style quality split label alt hash md5 sha sha256 resolution ratio mode "
    "has is class domain tags author duration fps start end time index".split()
)
"""Words of fields that tell something about an image: image_type, image_width, num_images."""

_OTHER_END = re.compile(
    r"\.(?:mp4|avi|mov|mkv|webm|m4v|mpe?g|wav|mp3|flac|ogg|m4a|aac)(?:\?\S*)?", re.IGNORECASE
)
_OTHER_TAG = re.compile(
    r"<\|?(?:video|audio|speech)(?:[_ ]?(?:\d+|pad|placeholder|start))?\|?>", re.IGNORECASE
)
"""How prompts mark a video's or an audio's place."""

_BASE64 = 256
"""Characters from which on a text in an image field is an encoded image and no path."""

_ENCODED_FROM = 64
"""Characters from which on a text may be an encoded image, if it begins as one does."""

_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""The first bytes of PNG, JPEG, GIF, WebP, BMP and TIFF files."""


def is_encoded(text: str) -> bool:
    """Whether the text of an image field is the image itself, and no path."""
    if text[:5].lower() == "data:" or _begins_as_image(text):
        return True
    return len(text) >= _BASE64 and not is_image_name(text)


def is_named_as_image(name: str) -> bool:
    """Whether a field's name says that it is an image: visual_input, and not image_width."""
    return bool(_words(name) & _IMAGE_WORDS) and not _words(name) & _ABOUT


def is_named_as_other(name: str) -> bool:
    """Whether a field's name says that it is a video or an audio: clip_path, video_id."""
    return bool(_words(name) & _OTHER_MEDIA) and not _words(name) & _ABOUT


def is_a_name(name: str) -> bool:
    """Whether a field only names something: video_id, beside an image, is where that is from."""
    return "id" in _words(name)


def looks_like_an_image(value: Any) -> bool:
    """Whether a value is an image at any depth: its file's name, a data URI, base64, bytes."""
    if isinstance(value, ImageRef):
        return True
    if isinstance(value, bytes):
        return value.startswith(_MAGIC)
    return _any(value, looks_like_an_image, _is_image_text)


def looks_like_other(value: Any) -> bool:
    """Whether a value is a video or an audio at any depth: its file's name, or a data URI."""
    return _any(value, looks_like_other, _is_other_text)


def other_tag(text: str) -> str:
    """The first mark of a video or an audio in a text ("<video>"), "" without one."""
    found = _OTHER_TAG.search(text)
    return found[0] if found else ""


def _any(value: Any, inside: Callable[[Any], bool], test: Callable[[str], bool]) -> bool:
    if isinstance(value, str):
        return test(value)
    if isinstance(value, Mapping):
        return any(inside(item) for item in value.values())
    return isinstance(value, list | tuple) and any(inside(item) for item in value)


def _is_image_text(text: str) -> bool:
    uri = text[:11].lower() == "data:image/"
    return uri or is_image_name(text) or _begins_as_image(text)


def _is_other_text(text: str) -> bool:
    return text[:11].lower() in ("data:video/", "data:audio/") or ends_in(_OTHER_END, text)


def _begins_as_image(text: str) -> bool:
    """Whether a text is base64 whose first bytes are those of an image file."""
    head = text[:_ENCODED_FROM].strip()
    if len(text) < _ENCODED_FROM or "." in text[-6:]:
        return False
    try:
        start = base64.b64decode(head[: len(head) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return False
    return start.startswith(_MAGIC)


@functools.lru_cache(maxsize=1024)
def _words(name: str) -> frozenset[str]:
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return frozenset(re.split(r"[^a-z]+", apart.lower()))
