"""Reads VLMEvalKit's tables: tab-separated, with base64 images or the paths of image files.

Texts are kept, images stay in the file: of each its place in bytes is noted, so that a table of
10 GB is read in one pass and little memory.

Source: columns and image reuse of open-compass/VLMEvalKit, vlmeval/dataset/image_base.py.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from collavo.datasets.registration.readers.cells import NoCell, TextCell
from collavo.datasets.registration.readers.records import Cell, Record, read_records
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError
from collavo.records import ImageRef

PANDAS_NA = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN")
) | frozenset(("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""Texts that pandas.read_csv takes for "no value": also options that say None or NA."""

REFERENCE = 64
"""Characters up to which an image cell is the index of the row whose image it shares."""

_CHAIN = 10
"""Rows that may name each other's image one after the other."""

_IMAGE, _PATH, _INDEX = "image", "image_path", "index"
_IN_LIST = re.compile(rb"[\"']+([A-Za-z0-9+/=\s_-]+)[\"']+")


def is_na(text: str | None) -> bool:
    """Tells whether pandas would read this cell as "no value"."""
    return text is None or text in PANDAS_NA


def tsv_rows(
    path: Path, nan: Literal["empty", "pandas"] = "empty", image_root: Path | None = None
) -> Iterator[Row]:
    """Yields the rows of a table, parted and quoted as pandas.read_csv does with tabs.

    Every value is text, or None where there is none. `image` is an ImageRef, a tuple of them for a
    list cell, or None for a row without image: base64 in place, that of the row whose index a cell
    of at most 64 characters gives, or the file that `image_path` names. Where the table has
    neither column it is an ImageRef that cannot be read: scoring needs no images.

    Args:
        path: The table.
        nan: What counts as no value: empty cells, or all that pandas takes for it (`PANDAS_NA`).
        image_root: The folder of `image_path`; by default `images/<table>`, `images` or the
            table's own folder, whichever holds the first image.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is empty, not UTF-8 or cut off, or a row has more cells than there are
            columns; the message names the line.
    """
    records = read_records(path)
    header = next(records, None)
    if header is None:
        raise DataError(f"{path} is empty; fetch it again")
    table = _Table(path, _names(path, header), nan == "pandas", image_root)
    rows = [table.row(record) for record in records]
    if not rows:
        raise DataError(f"{path} holds column names and no rows; fetch it again")
    images = _Images(rows, path)
    for row in rows:
        yield Row(row.place, {**row.values, _IMAGE: images.of(row)})


def _names(path: Path, header: Record) -> list[str]:
    """The column names; a repeated one gets a number, as pandas gives it."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for number, cell in enumerate(header.cells):
        name = cell.text(f"{path}, line {header.line}") or f"Unnamed: {number}"
        names.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


class _Table:
    """Turns records into rows; `image` stays a place in the file (or a short text)."""

    def __init__(self, path: Path, names: Sequence[str], pandas: bool, root: Path | None) -> None:
        self._path, self._names, self._pandas = path, names, pandas
        self._given, self._root = root, root

    def row(self, record: Record) -> Row:
        place = f"{self._path}, line {record.line}"
        beyond = record.cells[len(self._names) :]
        if any(cell.size for cell in beyond):
            raise DataError(
                f"{place}: {len(record.cells)} cells, but there are {len(self._names)} columns "
                f"({', '.join(self._names[:12])}); a tab or a quotation mark is astray"
            )
        values: dict[str, Any] = dict.fromkeys(self._names)
        for name, cell in zip(self._names, record.cells, strict=False):
            if name == _IMAGE and cell.size > REFERENCE:
                values[name] = self._encoded(cell, place)
                continue
            text = cell.text(place)
            values[name] = None if not text or (self._pandas and is_na(text)) else text
        if not isinstance(values.get(_IMAGE), str | tuple) and values.get(_PATH):
            values[_IMAGE] = tuple(self._files(values[_PATH], place))
        return Row(place, values)

    def _encoded(self, cell: Cell, place: str) -> tuple[ImageRef, ...]:
        """Refers to the base64 images of one cell: one, or a list of them."""
        spans = [(0, len(cell.raw))]
        if cell.raw.lstrip().startswith(b"["):
            spans = [match.span(1) for match in _IN_LIST.finditer(cell.raw)]
        return tuple(
            ImageRef(
                cell=TextCell(self._path, cell.start + start, end - start, place),
                name=f"{place.removeprefix(str(self._path.parent) + '/')}, image {number}",
            )
            for number, (start, end) in enumerate(spans, start=1)
        )

    def _files(self, text: str, place: str) -> Iterator[ImageRef]:
        for name in _listed(text):
            if self._root is None:
                self._root = self._find_root(name)
            # below a root that was named, else below the table's own folder
            yield image_below(self._given or self._path.parent, name, self._root, place)

    def _find_root(self, name: str) -> Path:
        here = self._path.parent
        places = (here / "images" / self._path.stem, here / "images", here)
        found = (place for place in places if "\0" not in name and (place / name).is_file())
        return next(found, places[0] if places[0].is_dir() else here)


class _Images:
    """The images of all rows by index, for the rows that name another's."""

    def __init__(self, rows: Sequence[Row], path: Path) -> None:
        self._none = not ({_IMAGE, _PATH} & set(rows[0].values))
        self._path = path
        self._by_index: dict[str, tuple[ImageRef, ...] | str] = {}
        for row in rows:
            if row.values.get(_IMAGE) and row.values.get(_INDEX):
                self._by_index[_key(row.values[_INDEX])] = row.values[_IMAGE]

    def of(self, row: Row) -> ImageRef | tuple[ImageRef, ...] | None:
        """Returns a row's image, its images, or None."""
        if self._none:
            reason = f"{self._path} has neither a column {_IMAGE!r} nor a column {_PATH!r}"
            return ImageRef(cell=NoCell(reason, whole=True), name=f"{row.place}, image")
        value = row.values.get(_IMAGE)
        if isinstance(value, str):
            value = tuple(self._referred(name, row) for name in _listed(value))
        if not value:
            return None
        return value[0] if len(value) == 1 else value

    def _referred(self, index: str, row: Row) -> ImageRef:
        found: tuple[ImageRef, ...] | str | None = index
        for _ in range(_CHAIN):
            if not isinstance(found, str):
                break
            found = self._by_index.get(_key(found))
        if isinstance(found, tuple):
            return found[0]
        reason = f"{row.place}: the image is said to be that of index {index!r}, which has none"
        return ImageRef(cell=NoCell(reason), name=f"{row.place}, image")


def _key(index: str) -> str:
    """An index as text: pandas writes whole numbers as 12.0 where some are missing."""
    return index.strip().removesuffix(".0")


def _listed(text: str) -> list[str]:
    """The texts of a cell that holds one text or a Python list of them."""
    if text.startswith("[") and text.endswith("]"):
        values = literal(text)
        if isinstance(values, list):
            return [str(value) for value in values]
    return [text]


def literal(text: str) -> Any:
    """Evaluates a Python literal, as list cells hold; None where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def short_index(row: Row, columns: Mapping[str, Any] | None = None) -> str | int:
    """Returns a row's index, as a number where it is one."""
    text = str(row.key(_INDEX))
    return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else text
