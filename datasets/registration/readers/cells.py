"""Images inside table cells: references that read the table anew, so that tables stay on disk."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.errors import DataError
from collavo.records import ImageRef


@dataclass(frozen=True)
class TextCell:
    """A base64 image in a text file, found by its place in bytes.

    Args:
        file: The table.
        start: Where the text begins, in bytes.
        length: How long it is, in bytes.
        place: File and line, for messages.
    """

    file: Path
    start: int
    length: int
    place: str

    def __call__(self) -> bytes:
        """Reads and decodes the cell.

        Raises:
            DataError: The text is no base64, or the file is shorter than when it was indexed.
        """
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.start)
                text = stream.read(self.length)
        except OSError as error:
            raise DataError(f"{self.place}: the image cannot be read again: {error}") from error
        if len(text) != self.length:
            raise DataError(f"{self.place}: the file was cut since it was indexed")
        return decode_base64(text, self.place)


@dataclass(frozen=True)
class NoCell:
    """Stands for an image that the table should hold and does not; scoring needs none.

    Args:
        reason: What is wrong, with file and line.
        whole: Whether the table has no images at all.
    """

    reason: str
    whole: bool = False

    def __call__(self) -> bytes:
        """Says what is wrong.

        Raises:
            DataError: Always.
        """
        raise DataError(self.reason)


def decode_base64(text: bytes, place: str) -> bytes:
    """Decodes base64, also of a data URI; white space between its characters is left out.

    Raises:
        DataError: It is no base64.
    """
    if text[:5].lower() == b"data:":
        text = text.partition(b",")[2]
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            f"{place}: the image is no base64 ({error}); it begins with {text[:20]!r}"
        ) from error


def cell_refs(row: Row, *names: str) -> tuple[ImageRef, ...]:
    """Returns the images of the first of the columns `names` that holds any.

    Raises:
        DataError: The column holds something else than images.
    """
    for name in names:
        value = row.values.get(name)
        if value is None:
            continue
        refs = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(ref, ImageRef) for ref in refs):
            raise DataError(
                f"{row.place}: column {name!r} must hold images, got {type(value).__name__}"
            )
        if refs:
            return tuple(refs)
    return ()


def cell_ref(row: Row, *names: str) -> ImageRef | None:
    """Returns the first image of the first of the columns `names` that holds any, else None.

    Where the column holds more, a note says so: the benchmarks that ask about one image have none.

    Raises:
        DataError: The column holds something else than images.
    """
    refs = cell_refs(row, *names)
    note_several(row, refs)
    return next(iter(refs), None)


def note_several(row: Row, refs: Sequence[ImageRef]) -> None:
    """Notes a row of a named benchmark that has several images."""
    if len(refs) > 1:
        note("there are several images in a row; the benchmark is asked with the first", row.place)
