"""Reads VLMEvalKit's tables: tab-separated, with base64 images or the paths of image files.

Texts are kept, images stay in the file: of each its place in bytes is noted, so that a table of
10 GB is read in one pass and little memory.

Source: columns and image reuse of open-compass/VLMEvalKit, vlmeval/dataset/image_base.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from collavo.datasets.registration.readers.cells import NoCell, TextCell
from collavo.datasets.registration.readers.literals import listed
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.records import Cell, Record, read_records
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.roots import image_below, is_image_name
from collavo.errors import DataError
from collavo.records import ImageRef

PANDAS_NA = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN")
) | frozenset(("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""Texts that pandas.read_csv takes for "no value": also options that say None or NA."""

REFERENCE = 64
"""Characters up to which an image cell is the index of the row whose image it shares."""

_ENDING = 6
"""Bytes at the end of a cell in which the dot of a file's name stands."""

_CHAIN = 10
"""Rows that may name each other's image one after the other."""

_IMAGE, _PATH, _INDEX = "image", "image_path", "index"
_IN_LIST = re.compile(rb"[\"']+([A-Za-z0-9+/=\s_:;,-]*[A-Za-z0-9+/=_-])[\"']+")
"""A base64 image in a list, also as a data URI."""


def is_na(text: str | None) -> bool:
    """Tells whether pandas would read this cell as "no value"."""
    return text is None or text in PANDAS_NA


def tsv_rows(
    path: Path,
    nan: Literal["empty", "pandas"] = "empty",
    image_root: Path | None = None,
    find_images: bool = True,
) -> Iterator[Row]:
    """Yields the rows of a table, parted and quoted as pandas.read_csv does with tabs.

    Every value is text, or None where there is none. `image` is an ImageRef, a tuple of them for a
    list cell, or None for a row without image: base64 in place, that of the row whose index a cell
    of at most 64 characters gives, or the file that it or `image_path` names. Where the table has
    neither column it is an ImageRef that cannot be read: scoring needs no images.

    Args:
        path: The table.
        nan: What counts as no value: empty cells, or all that pandas takes for it (`PANDAS_NA`).
        image_root: The folder of image files; by default `images/<table>`, `images` or the
            table's own folder, whichever holds the image. No path may leave it; see `image_below`.
        find_images: Whether image files are wanted: if not, their paths are not looked at.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is empty, not UTF-8 or cut off, a row has more cells than there are columns,
            or an image's path leaves the folder; the message names the line.
    """
    records = read_records(path)
    header = next(records, None)
    if header is None:
        raise DataError(f"{path} is empty; fetch it again")
    files = _Files(path, image_root, find_images)
    table = _Table(path, _names(path, header), nan == "pandas", files)
    rows = [table.row(record) for record in records]
    if not rows:
        raise DataError(f"{path} holds column names and no rows; fetch it again")
    images = _Images(rows, path, files)
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


@dataclass(frozen=True)
class _Files:
    """Finds image files that a table names.

    Args:
        table: The table.
        root: Their folder, where one is named.
        wanted: Whether they are looked for.
    """

    table: Path
    root: Path | None
    wanted: bool

    def __call__(self, name: str, place: str) -> ImageRef:
        if not self.wanted:
            return ImageRef(cell=NoCell(f"{place}: images are not looked for"), name=name)
        if self.root is not None:
            return image_below(self.root, name, self.root, place)
        here = self.table.parent
        starts = (here / "images" / self.table.stem, here / "images", here)
        return image_below(here, name, starts, place)


class _Table:
    """Turns records into rows; `image` stays a place in the file (or a short text)."""

    def __init__(self, path: Path, names: Sequence[str], pandas: bool, files: _Files) -> None:
        self._path, self._names, self._pandas, self._files = path, names, pandas, files

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
                encoded = self._encoded(cell, place)
                if encoded:
                    values[name] = encoded
                    continue
            text = cell.text(place)
            no_text = is_na(text) if self._pandas or name in (_IMAGE, _PATH) else not text
            values[name] = None if no_text else text
        if not isinstance(values.get(_IMAGE), str | tuple) and values.get(_PATH):
            names = _listed(values[_PATH], place)
            values[_IMAGE] = tuple(self._files(name, place) for name in names)
        return Row(place, values)

    def _encoded(self, cell: Cell, place: str) -> tuple[ImageRef, ...]:
        """Refers to the base64 images of one cell: one, or a list of them; () for other texts."""
        listed = cell.raw.lstrip().startswith(b"[")
        if b"." in (cell.raw if listed else cell.raw[-_ENDING:]):
            return ()  # paths: base64 has no dots
        spans = [(0, len(cell.raw))]
        if listed:
            spans = [match.span(1) for match in _IN_LIST.finditer(cell.raw)]
        return tuple(
            ImageRef(
                cell=TextCell(self._path, cell.start + start, end - start, place),
                name=f"{place.removeprefix(str(self._path.parent) + '/')}, image {number}",
            )
            for number, (start, end) in enumerate(spans, start=1)
        )


class _Images:
    """The images of all rows by index, for the rows that name another's."""

    def __init__(self, rows: Sequence[Row], path: Path, files: _Files) -> None:
        self._none = not ({_IMAGE, _PATH} & set(rows[0].values))
        self._path, self._files = path, files
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
            names = _listed(value, row.place)
            if row.values.get(_PATH) and not any(_key(name) in self._by_index for name in names):
                names = _listed(row.values[_PATH], row.place)  # its image is no row's, but a file
                value = tuple(self._files(name, row.place) for name in names)
            else:
                value = tuple(self._referred(name, row) for name in names)
        if not value:
            return None
        return value[0] if len(value) == 1 else value

    def _referred(self, index: str, row: Row) -> ImageRef:
        found: tuple[ImageRef, ...] | str = index
        for _ in range(_CHAIN):
            if not isinstance(found, str) or _key(found) not in self._by_index:
                break
            found = self._by_index[_key(found)]
        if isinstance(found, tuple):
            return found[0]
        if is_image_name(found) or "/" in found:
            return self._files(found, row.place)
        reason = f"{row.place}: the image is said to be that of index {index!r:.80}, which has none"
        return ImageRef(cell=NoCell(reason), name=f"{row.place}, image")


def _key(index: str) -> str:
    """An index as text: pandas writes whole numbers as 12.0 where some are missing."""
    return index.strip().removesuffix(".0")


def _listed(text: str, place: str) -> list[str]:
    """The texts of a cell that holds one text or a list of them."""
    values = listed(text)
    if not isinstance(values, list):
        return [text]
    names = [str(value) for value in values if value is not None and value != ""]
    if len(names) < len(values):
        note("what is no image in a list of images is left out", place)
    return names


def short_index(row: Row, columns: Mapping[str, Any] | None = None) -> str | int:
    """Returns a row's index, as a number where it is one."""
    text = str(row.key(_INDEX))
    return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else text
