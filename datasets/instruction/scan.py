"""Finds the rows of a large JSON file one after the other, with their places in bytes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from collavo.datasets.registration.readers.opened import note_opened
from collavo.errors import DataError, MissingFileError

BLOCK = 4 << 20
"""Bytes that are read at once."""

MAX_ROW = 256 << 20
"""Bytes of the longest row; more means a bracket or quotation mark that is never closed."""

_BOM = codecs.BOM_UTF8.decode("latin-1")
_SPACE = re.compile(r"[ \t\r\n]*")
_MARGIN = 16
"""A fault at most so many characters before the buffer's end may come from the cut there."""


@dataclass(frozen=True)
class Found:
    """One row of a file.

    Args:
        start: Where it begins, in bytes.
        size: How many bytes it has.
        value: The row as JSON, its texts read as Latin-1: their ASCII characters are right, each
            byte of others is one character. What is stored of it is to be read anew.
        escaped: Whether characters are written by their numbers, which are one character each.
    """

    start: int
    size: int
    value: Any
    escaped: bool = False


def scan_rows(path: Path) -> Iterator[Found]:
    """Yields the rows of a JSON array of objects, or of a file of one object after the other.

    Never holds more than a block and a row. Every byte of UTF-8 beyond ASCII is 128 or more, so the
    file's structure can be read as Latin-1, in which characters are bytes.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is not UTF-8, no JSON, cut off, or holds something else than objects.
    """
    note_opened(path)
    try:
        with path.open("rb") as stream:
            yield from _Scanner(path, stream).rows()
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} is not there") from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


class _Scanner:
    """Holds a stretch of the file: its text, where it begins, and where reading stands in it."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        # NaN and Infinity, as data frames write what is missing, are no values
        self._decode = json.JSONDecoder(strict=False, parse_constant=lambda name: None).raw_decode
        self._text, self._base, self._at = "", 0, 0

    def rows(self) -> Iterator[Found]:
        """Yields the rows."""
        while len(self._text) < len(_BOM) and self._more():
            pass
        if self._text.startswith(_BOM):
            self._at = len(_BOM)
        sign = self._skip_space()
        if not sign:
            raise DataError(f"{self._path} is empty; fetch it again")
        array = sign == "["
        if array:
            self._at += 1
            sign = self._skip_space()
        while sign and not (array and sign == "]"):
            yield self._row(sign)
            sign = self._skip_space()
            if sign == ",":
                self._at += 1
                sign = self._skip_space()
            elif array and sign and sign != "]":
                raise self._fault("expected ',' or ']' after a row")
        if array and not sign:
            raise self._fault("the text ends too early")
        if array:
            self._at += 1
            if self._skip_space():
                raise self._fault("text follows the end of the list")

    def _row(self, sign: str) -> Found:
        if sign != "{":
            raise self._fault("expected an object")
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                # ValueError: also a number of thousands of digits.
                if self._may_be_cut(error) and self._more():
                    continue
                raise self._fault(self._words(error), getattr(error, "pos", None)) from error
            escaped = self._text.find("\\u", self._at, end) >= 0
            found = Found(self._base + self._at, end - self._at, value, escaped)
            self._at = end
            return found

    def _may_be_cut(self, error: Exception) -> bool:
        """Tells a row that goes on behind the buffer's end from a broken one."""
        if not isinstance(error, json.JSONDecodeError) or len(self._text) - self._at > MAX_ROW:
            return False
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _MARGIN

    def _more(self) -> bool:
        """Drops what was read, and reads on; as much again as is left, where a row is long."""
        self._text = self._text[self._at :]
        self._base, self._at = self._base + self._at, 0
        block = self._stream.read(max(BLOCK, len(self._text)))
        try:
            self._utf8.decode(block, final=not block)
        except UnicodeDecodeError as error:
            place = self._base + len(self._text) + error.start
            raise DataError(
                f"{self._path}: a byte near position {place} is not UTF-8 ({error.reason}); save "
                "the file as UTF-8, or fetch it again if it was cut"
            ) from error
        self._text += block.decode("latin-1")
        return bool(block)

    def _skip_space(self) -> str:
        """Goes to the next character that is not white space; "" at the end of the file."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None, "it matches nothing, too"
            self._at = found.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _words(self, error: Exception) -> str:
        if not isinstance(error, json.JSONDecodeError):
            return str(error)
        at_end = error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated")
        return "the text ends too early" if at_end else error.msg

    def _fault(self, what: str, pos: int | None = None) -> DataError:
        pos = self._at if pos is None else pos
        line = self._line_of(self._base + pos)
        near = self._text[max(0, pos - 10) : pos + 20].encode("latin-1").decode("utf-8", "replace")
        return DataError(
            f"{self._path}, line {line}: not a JSON list of objects: {what}, near {near!r}; fetch "
            "the file again"
        )

    def _line_of(self, place: int) -> int:
        """The number of the line that holds a byte, from 1; reads the file again."""
        line, left = 1, place
        with self._path.open("rb") as stream:
            while left > 0 and (block := stream.read(min(BLOCK, left))):
                line, left = line + block.count(b"\n"), left - len(block)
        return line
