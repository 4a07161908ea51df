"""Finds the images of a row of any common wording, and refuses what looks like one and is not read.

A question must never be asked blind because its image stands under a name that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.generic_choices import holds
from collavo.datasets.registration.generic_media import (
    PLACES,
    is_a_name,
    is_encoded,
    is_named_as_image,
    is_named_as_other,
    looks_like_an_image,
    looks_like_other,
    other_tag,
)
from collavo.datasets.registration.readers.cells import decode_base64
from collavo.datasets.registration.readers.literals import listed
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

    def fields(self, row: Row, read: Collection[str]) -> tuple[str, ...]:
        """The fields that the row's images stand in, () for a question without image.

        Args:
            row: The row.
            read: Fields that are something else: question, answer, options, ...

        Raises:
            DataError: There is a video or an audio, or an image under an unknown name that nobody
                said is not to be shown.
        """
        numbered = sorted(
            (int(match[1]), name)
            for name in row.values
            if (match := NUMBERED.fullmatch(name)) and holds(row.values[name])
        )
        found = tuple(name for _, name in numbered)
        known = next((name for name in IMAGES if holds(row.values.get(name))), None)
        _refuse_other_media(row, read, shown=bool(known or found))
        if known is not None:
            # image beside image_1: the same picture for some writers, so the list is not guessed
            if found and known not in found and self._choice != "none":
                _refuse_two(row, known, found)
            _note_others(row, known, {*read, *found})
            return (known,)
        if not found and self._choice != "none":
            _refuse_unknown(row, {*read, *IMAGES})
        return found

    def check_tags(self, row: Row, question: str, tags: int, shown: int) -> None:
        """Compares the marks of images (and of other media) in a question with what is there.

        Args:
            row: The row.
            question: Its text, in which a video or an audio may be marked.
            tags: How many images it marks, by "<image>" or by parts of a turn.
            shown: How many images the row has.

        Raises:
            DataError: It asks about another medium, or marks an image and there is none.
        """
        other = other_tag(question)
        if other:
            raise DataError(
                f"{row.place}: the question holds {other}: questions about video or audio "
                "cannot be asked; remove the row"
            )
        if self._choice == "none" or tags <= shown:
            return
        if not shown:
            raise DataError(
                f"{row.place}: the question says <image>, but the row has no image in any field "
                f"that is read ({', '.join(IMAGES[:9])}, ...): name it there, or say ?images=none "
                "to ask without images"
            )
        note("a question says <image> more often than its row has images", row.place)

    def of(self, row: Row, fields: Iterable[str]) -> tuple[ImageRef, ...]:
        """The images of a row.

        Raises:
            DataError: A field holds something else than images.
        """
        values = [(name, row.values[name]) for name in fields]
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
            if isinstance(value, str) and not is_encoded(value) and not value.startswith("["):
                return value
        return ""

    def _refs_of(self, row: Row, field: str, value: Any) -> list[ImageRef]:
        value = listed(value)
        if isinstance(value, list | tuple):
            if not all(holds(item) for item in value):
                note("what is no image in a list of images is left out", row.place)
            return [r for item in value if holds(item) for r in self._refs_of(row, field, item)]
        if isinstance(value, Mapping):
            value = _of_mapping(row, field, value)
        if isinstance(value, ImageRef):
            return [value]
        if isinstance(value, bytes):
            return [ImageRef(data=value, name=f"{row.place}, {field}")]
        if not isinstance(value, str):
            raise DataError(
                f"{row.place}: the image in {field!r} must be a path or base64, got {value!r:.80}"
            )
        if is_encoded(value):
            return [ImageRef(cell=_Encoded(value, row.place), name=f"{row.place}, {field}")]
        if value not in self._refs:
            self._refs[value] = self._file(value, row.place)
        return [self._refs[value]]

    def _file(self, name: str, place: str) -> ImageRef:
        if self._root is not None:
            return image_below(self._root, name, self._root, place)
        return image_below(self._folder, name, (self._folder, self._folder / "images"), place)


def _of_mapping(row: Row, field: str, value: Mapping[str, Any]) -> Any:
    """What an object says of its image: Hugging Face's {bytes, path}, {url}, {file_name}, ..."""
    for key in (*PLACES, *IMAGES):
        inner = value.get(key)
        if isinstance(inner, Mapping):  # {"image_url": {"url": ...}}
            inner = _of_mapping(row, field, inner)
        if holds(inner):
            return inner
    raise DataError(
        f"{row.place}: the image in {field!r} is an object without bytes or path; it has "
        f"{', '.join(map(repr, value))}"
    )


def _refuse_other_media(row: Row, read: Container[str], shown: bool) -> None:
    for name, value in row.values.items():
        if name in read or not holds(value) or isinstance(value, bool):
            continue
        # beside an image, numbers and ids say where it is from: its video, its time there
        aside = shown and (is_a_name(name) or isinstance(value, int | float))
        if (is_named_as_other(name) and not aside) or looks_like_other(value):
            raise DataError(
                f"{row.place}: field {name!r} holds a video or audio, which cannot be asked about: "
                "only images are; remove the row, or the field if the question is about its image"
            )


def _refuse_unknown(row: Row, known: Container[str]) -> None:
    """Refuses a row without a known image that has one by another name."""
    # where a known field says null, image_id is an id and no image
    null = any(name in row.values for name in IMAGES)
    for name, value in row.values.items():
        if name in known or not holds(value) or isinstance(value, bool):
            continue
        named = is_named_as_image(name) and not (null and is_a_name(name))
        if named or looks_like_an_image(value):
            raise DataError(
                f"{row.place}: field {name!r} looks like an image, but no image is read from a "
                f"field of that name: rename it to 'image' ({', '.join(IMAGES[1:9])}, ... are "
                "read, too), or say ?images=none to ask without images"
            )


def _note_others(row: Row, known: str, read: set[str]) -> None:
    """Says that a row has images in further fields, unless they only name the same one again."""
    shown = row.values[known]
    encoded = not isinstance(shown, str) or is_encoded(shown)
    for name, value in row.values.items():
        if name == known or name in read or not holds(value) or value in (shown, [shown]):
            continue
        if isinstance(value, str) and not is_encoded(value):
            # the name or address of an image whose bytes are there, or of the same file elsewhere
            same = encoded or _file_name(value) == _file_name(str(shown))
            if same or not (name in IMAGES or is_image_name(value)):
                continue
        elif not (name in IMAGES or looks_like_an_image(value)):
            continue
        note(f"an image in {name!r} is not shown, beside the one in {known!r}", row.place)


def _file_name(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2]


def _refuse_two(row: Row, known: str, numbered: tuple[str, ...]) -> None:
    raise DataError(
        f"{row.place}: images stand in {known!r} and in {', '.join(map(repr, numbered))}; keep one "
        "of the two ways"
    )
