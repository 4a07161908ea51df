"""Reads text files, and says where a file is broken."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collavo.datasets.registration.readers.opened import note_opened
from collavo.errors import DataError, MissingFileError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Line:
    """One line of a text file, without its line end.

    Args:
        file: The file it stands in.
        number: Its number, from 1.
        text: What it says.
    """

    file: Path
    number: int
    text: str

    @property
    def place(self) -> str:
        """The line's place, for messages."""
        return f"{self.file}, line {self.number}"


def read_bytes(path: Path) -> bytes:
    """Reads a whole file.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is a folder, or may not be read.
    """
    note_opened(path)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


def read_text(path: Path) -> str:
    """Reads a UTF-8 file (or UTF-16 with its mark); a byte order mark is dropped.

    Raises:
        MissingFileError: The file is not there.
        DataError: It holds bytes that are not UTF-8; the message names line and byte.
    """
    data = read_bytes(path)
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        # `error.object` lacks the mark that utf-8-sig skipped.
        position = error.start + len(data) - len(error.object)
        line = data[:position].count(b"\n") + 1
        byte = data[position]
        raise DataError(
            f"{path}, line {line}: byte 0x{byte:02x} at position {position} is not {encoding}; "
            "save the file as UTF-8, or fetch it again if it was cut"
        ) from error


def lines_of(path: Path) -> Iterator[Line]:
    """Yields the lines of a file that are not blank.

    Lines end at LF, CRLF or a lone CR before LF only: other Unicode line separators may stand
    inside an answer and do not end it.
    """
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        if text.strip(" \t\r\ufeff"):
            yield Line(path, number, text.removesuffix("\r"))
