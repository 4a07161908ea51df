"""Tells from a row's fields and texts that it is about something which is not read.

Rows are never asked or trained blind because their medium stands where nobody looks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from collavo.datasets.registration.roots import ends_in, is_image_name
from collavo.records import ImageRef

OTHER_TAG = re.compile(
    r"<\|?(?:video|audio|speech)(?:[_ ]?(?:\d+|pad|placeholder|start))?\|?>", re.IGNORECASE
)
"""How prompts mark a video's or an audio's place."""

_IMAGE_WORDS = {
    *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "pic", "pics"),
    *("visual", "visuals", "screenshot", "screenshots", "figure", "thumbnail"),
}
_OTHER_MEDIA = {"video", "videos", "audio", "audios", "clip", "clips", "speech", "movie", "frames"}
_OTHER_END = re.compile(
    r"\.(?:mp4|avi|mov|mkv|webm|m4v|mpe?g|wav|mp3|flac|ogg|m4a|aac)(?:\?\S*)?", re.IGNORECASE
)


def is_there(value: Any) -> bool:
    """Whether a field holds something: null, "", NaN and empty lists are nothing."""
    if isinstance(value, float):
        return value == value
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list | tuple):
        return any(is_there(item) for item in value)
    return value is not None and value != {}


def is_other_medium(name: str, value: Any) -> bool:
    """Whether a field holds a video or an audio; a number says something about one at most."""
    if not is_there(value) or isinstance(value, bool | int | float):
        return False
    return bool(_words(name) & _OTHER_MEDIA) or _any(value, _ends_otherwise)


def is_like_image(name: str, value: Any) -> bool:
    """Whether a field holds an image, by its name or by what it holds; 0 and false are none."""
    if not is_there(value) or value is False or value is True or value == 0:
        return False
    return bool(_words(name) & _IMAGE_WORDS) or _any(value, _is_image)


def _any(value: Any, test: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_any(item, test) for item in value)
    return bool(test(value))


def _ends_otherwise(value: Any) -> bool:
    return isinstance(value, str) and ends_in(_OTHER_END, value.strip())


def _is_image(value: Any) -> bool:
    if isinstance(value, str):
        return value[:11].lower() == "data:image/" or is_image_name(value)
    return isinstance(value, ImageRef | bytes) or (
        isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes)
    )


@lru_cache(maxsize=4096)
def _words(name: str) -> frozenset[str]:
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return frozenset(re.split(r"[^a-z]+", apart.lower()))
