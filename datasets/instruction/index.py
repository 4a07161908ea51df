"""The index of a large file of conversations: where each row lies, and what it is about."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from collavo.datasets.instruction.kept import Kept, files_key, keep, load_kept
from collavo.datasets.instruction.rows import measure, read_row
from collavo.datasets.instruction.scan import scan_rows
from collavo.datasets.instruction.source import BadRows
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError

VERSION = 5
"""Counts changes of what is indexed and checked; part of the key of kept indexes."""


@dataclass(frozen=True)
class RowIndex:
    """The good rows of a file, in its order.

    Args:
        starts: int64 place of each row in the file, in bytes.
        sizes: int64 bytes of each row.
        lengths: int64 bytes of each row's text.
        images: int32 number of images of each row.
        turns: int32 number of turns of each row.
        numbers: int64 number of the row in the file, from 1, bad rows counted, too.
        repeats: int32 1 for the first row of an id, 2 for the second, ...
        bad: The rows that are left out, with the rows' ids.
    """

    starts: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    lengths: np.ndarray = field(repr=False)
    images: np.ndarray = field(repr=False)
    turns: np.ndarray = field(repr=False)
    numbers: np.ndarray = field(repr=False)
    repeats: np.ndarray = field(repr=False)
    bad: BadRows = BadRows()

    def __len__(self) -> int:
        return len(self.starts)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        names = ("starts", "sizes", "lengths", "images", "turns", "numbers", "repeats")
        return {name: getattr(self, name) for name in names}

    def digest(self) -> str:
        """The sha256 of all of it: the same on every machine for the same file."""
        whole = hashlib.sha256(f"{VERSION} {self.bad}".encode())
        for values in self.arrays().values():
            whole.update(values.tobytes())
        return whole.hexdigest()


def row_id(values: Mapping[str, Any], number: int) -> str:
    """The id that a row has, or `row<number>`; it may repeat in its file."""
    given = values.get("id")
    usable = isinstance(given, (str, int)) and not isinstance(given, bool) and str(given)
    return str(given) if usable else f"row{number}"


def file_index(path: Path, root: Path) -> RowIndex:
    """Returns the index of a file, from the cache if the file is as it was.

    Args:
        path: The file.
        root: The folder of images, which no path may leave.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken.
    """
    try:
        key = files_key(f"rows {VERSION} {root.absolute()}", [path])
    except OSError:
        return build_index(path, root)  # says what is wrong
    if (found := load_kept(key)) is not None:
        return RowIndex(**found.arrays, bad=found.bad)
    index = build_index(path, root)
    keep(key, Kept(index.arrays(), index.bad))
    return index


def build_index(path: Path, root: Path) -> RowIndex:
    """Reads a file once, row by row; memory grows by some 50 bytes a row.

    Args:
        path: The file.
        root: The folder of images, which no path may leave.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken. Unusable rows are counted, not raised.
    """
    starts, sizes, lengths = array("q"), array("q"), array("q")
    images, turns, numbers, hashes = array("i"), array("i"), array("q"), array("Q")
    bad = BadRows()
    # texts of rows without escapes are UTF-8 read as Latin-1, and so their paths' folder has to be
    as_scanned = Path(os.fsencode(root.absolute()).decode("latin-1"))
    for number, row in enumerate(scan_rows(path), start=1):
        folder = root if row.escaped else as_scanned
        measured = measure(row.value)
        if measured is None:
            content = read_row(row.value, folder)
            if content.problem:
                told = _as_utf8(content.problem)
                bad += BadRows(1, ((_as_utf8(row_id(row.value, number)), told),))
                continue
            length = sum(len(turn.text) for turn in content.turns)
            measured = len(content.images), len(content.turns), length
        starts.append(row.start)
        sizes.append(row.size)
        images.append(measured[0])
        turns.append(measured[1])
        lengths.append(_bytes(row.value, folder) if row.escaped else measured[2])
        numbers.append(number)
        name = row_id(row.value, number).encode("utf-8", "surrogatepass")
        hashes.append(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little"))
    return RowIndex(
        starts=np.array(starts, dtype=np.int64),
        sizes=np.array(sizes, dtype=np.int64),
        lengths=np.array(lengths, dtype=np.int64),
        images=np.array(images, dtype=np.int32),
        turns=np.array(turns, dtype=np.int32),
        numbers=np.array(numbers, dtype=np.int64),
        repeats=_repeats(np.array(hashes, dtype=np.uint64)),
        bad=bad,
    )


def image_names(path: Path, root: Path) -> list[str]:
    """The images that the good rows of a file name, below a folder, each once.

    The file is read for it once, and again when it has changed.

    Args:
        path: The file.
        root: The folder of images.
    """
    key = files_key(f"images {VERSION} {root.absolute()}", [path])
    if (found := load_kept(key)) is not None:
        return json.loads(found.arrays["names"].tobytes())
    as_scanned = Path(os.fsencode(root.absolute()).decode("latin-1"))
    names: dict[str, None] = {}
    for row in scan_rows(path):
        value = row.value.get("image")
        if isinstance(value, str) and value:
            given: tuple[str, ...] = (value,)
        else:
            given = read_row(row.value, root if row.escaped else as_scanned).images
        names |= dict.fromkeys(name if row.escaped else _as_utf8(name) for name in given)
    whole = [_place(name.strip(), root) for name in names]
    keep(key, Kept({"names": np.frombuffer(json.dumps(whole).encode(), dtype=np.uint8)}))
    return whole


def _place(name: str, root: Path) -> str:
    """Where an image lies, by the one rule for paths; most are plainly below the folder."""
    if not name.lower().startswith("file:"):
        return name
    try:
        return str(image_below(root, name, root, "image").path)
    except DataError:  # of a row that is left out
        return name


def _bytes(values: Mapping[str, Any], root: Path) -> int:
    """The bytes of a row's texts, or somewhat more: for rows with escaped characters."""
    texts = (turn.text for turn in read_row(values, root).turns)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def _as_utf8(text: str) -> str:
    """Undoes the scanner's reading as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:  # it was written by the characters' numbers
        return text.encode("utf-8", "replace").decode("utf-8")


def _repeats(hashes: np.ndarray) -> np.ndarray:
    """Counts for each value how often it has come up to there."""
    order = np.argsort(hashes, kind="stable")
    ranked, places = hashes[order], np.arange(len(hashes))
    begins = np.ones(len(hashes), dtype=bool)
    begins[1:] = ranked[1:] != ranked[:-1]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    repeats = np.empty(len(hashes), dtype=np.int32)
    repeats[order] = places - first + 1
    return repeats


class RowFile:
    """Reads rows of a file by their place; may be used by several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def read(self, start: int, size: int) -> bytes:
        """Reads `size` bytes from `start` on; fewer where the file has become shorter."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDONLY)
        return os.pread(self._fd, size, start)

    def close(self) -> None:
        """Closes the file; the next read opens it anew."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_fd": None}
