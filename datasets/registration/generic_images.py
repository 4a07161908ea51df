"""Finds the images of a row of any common wording, and refuses what looks like one and is not read.

A question must never be asked blind because its image stands under a name that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.cells import NoCell, decode_base64
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.media import (
    OTHER_TAG,
    is_like_image,
    is_other_medium,
    is_there,
)
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.roots import image_below, is_image_name
from collavo.errors import DataError
from collavo.records import ImageRef

IMAGES = tuple(
    "image images image_path image_paths img_path img_paths img imgs picture pictures photo photos "
    "pic pics file_name filename image_file image_files image_filename img_file imgname img_name "
    "image_name image_names image_url image_urls img_url image_list image_base64".split()
)
"""Fields that are looked for; the first that holds something wins."""

NUMBERED = re.compile(r"(?:image|img|picture|photo)_?(\d{1,2})(?:_path|_url)?", re.IGNORECASE)
"""Fields of several images, as MMMU has them: image_1, image_2, ..."""

CHOICES = ("refuse", "first", "none")
"""What `?images=` may say: rows of several show the first, or no row shows any."""

_BASE64 = 256
"""Characters from which on a text is an encoded image and no path."""


@dataclass(frozen=True)
class _Encoded:
    """A base64 image that a JSON row holds."""

    text: str
    place: str

    def __call__(self) -> bytes:
        return decode_base64(self.text.encode("ascii", "replace"), self.place)


class RowImages:
    """Finds the images of rows; one name, one reference.

    Args:
        folder: Where the table lies: images are looked for there and in `images`, and no path may
            leave it.
        root: Where images are instead.
        choice: One of `CHOICES`.
    """

    def __init__(self, folder: Path, root: Path | None, choice: str = "refuse") -> None:
        self._folder, self._root, self._choice = folder, root, choice
        self._refs: dict[str, ImageRef] = {}

    def fields(self, row: Row, read: Iterable[str]) -> tuple[str, ...]:
        """The fields that the row's images stand in, () for a question without image.

        Args:
            row: The row.
            read: Fields that are something else: question, answer, options, ...

        Raises:
            DataError: There is a video or an audio, or an image under an unknown name that nobody
                said is not to be shown.
        """
        _refuse_other_media(row, read)
        numbered = sorted(
            (int(match[1]), name)
            for name in row.values
            if (match := NUMBERED.fullmatch(name)) and is_there(row.values[name])
        )
        found = tuple(name for _, name in numbered)
        known = next((name for name in IMAGES if is_there(row.values.get(name))), None)
        if known is not None:
            # image beside image_1: the same picture for some writers, so the list is not guessed
            if found and known not in found and self._choice != "none":
                _refuse_two(row, known, found)
            return (known,)
        if not found and self._choice != "none":
            _refuse_unknown(row, {*read, *IMAGES})
        return found

    def of(self, row: Row, fields: Iterable[str]) -> tuple[ImageRef, ...]:
        """The images of a row.

        Raises:
            DataError: A field holds something else than images.
        """
        values = [(name, row.values[name]) for name in fields]
        if any(_is_no_cell(value) for _, value in values):
            return ()  # a table without any image asks without
        if self._choice == "none":  # nor is it looked for: it may be somewhere else altogether
            if values:
                note("the image is not shown (?images=none)", row.place)
            return ()
        refs = [ref for name, value in values for ref in self._refs_of(row, name, value)]
        if len(refs) > 1 and self._choice == "first":
            note("only the first of several images is shown (?images=first)", row.place)
            return (refs[0],)
        if len(refs) > 1:
            note(
                "there are several images in a row; a model that takes one refuses them, unless "
                "?images=first says that only the first is shown",
                row.place,
            )
        return tuple(refs)

    def name(self, row: Row, fields: Iterable[str]) -> str:
        """The first image's file name, "" where the row has none."""
        for name in ("image_path", *fields):
            value = row.values.get(name)
            if isinstance(value, str) and len(value) < _BASE64 and not value.startswith("["):
                return value
        return ""

    def _refs_of(self, row: Row, field: str, value: Any) -> list[ImageRef]:
        if isinstance(value, ImageRef):
            return [value]
        if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
            listed = literal(value)
            value = listed if isinstance(listed, list) else value
        if isinstance(value, list | tuple):
            if not all(is_there(item) for item in value):
                note("what is no image in a list of images is left out", row.place)
            return [r for item in value if is_there(item) for r in self._refs_of(row, field, item)]
        if isinstance(value, Mapping):
            value = _of_mapping(row, field, value)
        if isinstance(value, bytes):
            return [ImageRef(data=value, name=f"{row.place}, {field}")]
        if not isinstance(value, str):
            raise DataError(
                f"{row.place}: the image in {field!r} must be a path or base64, got {value!r:.80}"
            )
        if value[:5].lower() == "data:" or (len(value) >= _BASE64 and not is_image_name(value)):
            return [ImageRef(cell=_Encoded(value, row.place), name=f"{row.place}, {field}")]
        if value not in self._refs:
            self._refs[value] = self._file(value, row.place)
        return [self._refs[value]]

    def _file(self, name: str, place: str) -> ImageRef:
        if self._root is not None:
            return image_below(self._root, name, self._root, place)
        return image_below(self._folder, name, (self._folder, self._folder / "images"), place)


def _is_no_cell(value: Any) -> bool:
    return isinstance(value, ImageRef) and isinstance(value.cell, NoCell) and value.cell.whole


def _of_mapping(row: Row, field: str, value: Mapping[str, Any]) -> Any:
    """What an object says of its image: Hugging Face's {bytes, path}, {url}, {file_name}, ..."""
    for key in ("bytes", "base64", "data", "path", "url", *IMAGES):
        inner = value.get(key)
        if isinstance(inner, Mapping):  # {"image_url": {"url": ...}}
            inner = _of_mapping(row, field, inner)
        if is_there(inner):
            return inner
    raise DataError(
        f"{row.place}: the image in {field!r} is an object without bytes or path; it has "
        f"{', '.join(map(repr, value))}"
    )


def _refuse_other_media(row: Row, read: Iterable[str]) -> None:
    for name, value in row.values.items():
        if name not in read and is_other_medium(name, value):
            raise DataError(
                f"{row.place}: field {name!r} holds a video or audio, which cannot be asked about: "
                "only images are; remove the row, or the field if the question is about its image"
            )
        tag = OTHER_TAG.search(value) if isinstance(value, str) and name in read else None
        if tag:
            raise DataError(
                f"{row.place}: the text of {name!r} holds {tag[0]}: questions about video or audio "
                "cannot be asked; remove the row"
            )


def _refuse_unknown(row: Row, known: set[str]) -> None:
    """Refuses a row without a known image that has one under an unknown name."""
    for name, value in row.values.items():
        if name not in known and is_like_image(name, value):
            raise DataError(
                f"{row.place}: field {name!r} looks like an image, but no image is read from a "
                f"field of that name: rename it to 'image' ({', '.join(IMAGES[1:9])}, ... are "
                "read, too), or say ?images=none to ask without images"
            )


def _refuse_two(row: Row, known: str, numbered: tuple[str, ...]) -> None:
    raise DataError(
        f"{row.place}: images stand in {known!r} and in {', '.join(map(repr, numbered))}; keep one "
        "of the two ways"
    )
