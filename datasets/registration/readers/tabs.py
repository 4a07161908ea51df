"""Reads tab-separated lines without quoting, as the MME files are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collavo.datasets.registration.readers.text import Line, lines_of
from collavo.errors import DataError


def tab_cells(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Line, list[str]]]:
    """Yields each line that is not blank, with its cells; the last cell keeps its own tabs.

    Args:
        path: The file.
        columns: What the cells are, for the message of a line that has too few.

    Raises:
        MissingFileError: The file is not there.
        DataError: A line has fewer cells than `columns`, or the file is not UTF-8.
    """
    for line in lines_of(path):
        cells = line.text.split("\t", len(columns) - 1)
        if len(cells) < len(columns):
            raise DataError(
                f"{line.place}: expected {len(columns)} cells ({', '.join(columns)}) separated by "
                f"tabs, found {len(cells)}: {line.text[:80]!r}"
            )
        yield line, cells
