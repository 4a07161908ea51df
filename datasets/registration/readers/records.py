"""Splits tab-separated text into records as pandas.read_csv reads it.

Works on bytes and keeps one record at a time, so that files may be larger than memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from collavo.datasets.registration.readers.opened import note_opened
from collavo.errors import DataError, MissingFileError

MAX_RECORD = 1 << 30
"""Bytes of the longest record; more means a quotation mark that is never closed."""

_TAB, _LF, _CR, _QUOTE = b"\t", b"\n", b"\r", b'"'


@dataclass(frozen=True)
class Cell:
    """One cell of a record.

    Args:
        raw: Its bytes; of a quoted cell without the outer marks, inner ones still doubled.
        start: Where `raw` begins in the file.
        quoted: Whether inner marks are doubled.
        tail: What follows the closing mark before the next tab, which pandas keeps as it stands.
    """

    raw: bytes
    start: int
    quoted: bool = False
    tail: bytes = b""

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return len(self.raw) + len(self.tail)

    def text(self, place: str) -> str:
        """Returns what the cell says.

        Raises:
            DataError: It is not UTF-8.
        """
        raw = (self.raw.replace(b'""', _QUOTE) if self.quoted else self.raw) + self.tail
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{place}: byte 0x{raw[error.start]:02x} of a cell is not utf-8 "
                f"(after {raw[max(0, error.start - 20) : error.start]!r}); save the file as UTF-8"
            ) from error


@dataclass(frozen=True)
class Record:
    """One record of a table.

    Args:
        line: The number of the line it begins in, from 1.
        cells: Its cells.
    """

    line: int
    cells: list[Cell]


def read_records(path: Path) -> Iterator[Record]:
    """Yields the records of a file; blank lines are left out.

    Cells that begin with a quotation mark end at the next single one and may hold tabs and line
    ends; marks elsewhere are text. Lines end at LF, CRLF or CR.

    Raises:
        MissingFileError: The file is not there.
        DataError: It cannot be read, is UTF-16, or a quoted cell never ends.
    """
    note_opened(path)
    try:
        with path.open("rb") as stream:
            yield from _Records(path, stream)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


class _Records:
    """The state of reading one file: the bytes at hand, where they begin, and the line number."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._data = bytearray()
        self._start = 0
        """Where `_data` begins in the file."""
        self._line = 1

    def __iter__(self) -> Iterator[Record]:
        self._more()
        if self._data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{self._path} is UTF-16; save it as UTF-8")
        if self._data[:3] == codecs.BOM_UTF8:
            self._drop(3)
        while self._data or self._more():
            line = self._line
            cells = self._record()
            if len(cells) > 1 or cells[0].quoted or cells[0].raw.strip(b" "):
                yield Record(line, cells)

    def _record(self) -> list[Cell]:
        """Reads one record and drops its bytes."""
        cells: list[Cell] = []
        position = 0
        while True:
            position, ended = self._cell(position, cells)
            if ended:
                self._drop(position)
                return cells

    def _cell(self, position: int, cells: list[Cell]) -> tuple[int, bool]:
        """Reads the cell at `position`; returns where the next begins, and if the record ended."""
        start, closing = position, position
        quoted = self._data[position : position + 1] == _QUOTE
        if quoted:
            start, closing = position + 1, self._closing(position + 1)
            position = closing + 1
        end = self._find(_TAB, position)
        stop = self._end_of_line(position, end)
        raw = bytes(self._data[start : closing if quoted else stop])
        tail = bytes(self._data[position:stop]) if quoted else b""
        cells.append(Cell(raw, self._start + start, quoted, tail))
        if stop == end and end < len(self._data):
            return end + 1, False
        return self._after_line_end(stop), True

    def _closing(self, position: int) -> int:
        """Finds the mark that closes a quoted cell."""
        search = position
        while True:
            found = self._data.find(_QUOTE, search)
            if found < 0:
                search = len(self._data)
                if not self._more():
                    raise DataError(
                        f"{self._path}, line {self._line}: a quoted cell never ends (it begins "
                        f"with a quotation mark that nothing closes); fetch the file again"
                    )
            elif found + 1 == len(self._data) and not self._more():
                return found
            elif self._data[found + 1 : found + 2] != _QUOTE:
                return found
            else:
                search = found + 2

    def _end_of_line(self, position: int, end: int) -> int:
        """Finds the line end between `position` and `end`, else `end`."""
        newline = self._data.find(_LF, position, end)
        stop = newline if newline >= 0 else end
        carriage = self._data.find(_CR, position, stop)
        return carriage if carriage >= 0 else stop

    def _after_line_end(self, stop: int) -> int:
        if self._data[stop : stop + 1] == _CR and self._data[stop + 1 : stop + 2] == _LF:
            return stop + 2
        return min(stop + 1, len(self._data))

    def _find(self, mark: bytes, position: int) -> int:
        found = self._data.find(mark, position)
        return found if found >= 0 else len(self._data)

    def _more(self) -> bool:
        """Reads one line more; False at the end of the file."""
        if len(self._data) > MAX_RECORD:
            raise DataError(
                f"{self._path}, line {self._line}: a record of more than {MAX_RECORD} bytes; "
                "a quotation mark is not closed"
            )
        line = self._stream.readline(MAX_RECORD)
        self._data += line
        return bool(line)

    def _drop(self, count: int) -> None:
        self._line += self._data.count(_LF, 0, count)
        del self._data[:count]
        self._start += count
