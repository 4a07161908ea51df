"""Conversations in parquet files, as CodeFuse-VLM is trained on.

Columns: `image` (a struct with `bytes` or `path`, binary, or a path; null for text alone) or
`images` (a list of them), and texts `prompt` and `ground_truth`, or lists `prompts` and
`ground_truths` of the turns.
Source: codefuse-ai/CodeFuse-MFT-VLM commit 46e9a3c, llava/data.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from collavo.datasets.instruction.image_state import images_state
from collavo.datasets.instruction.kept import Kept, files_key, keep, load_kept
from collavo.datasets.instruction.llava import image_root
from collavo.datasets.instruction.rows import (
    IMAGE_TAG,
    IMAGES_MEND,
    misplaced,
    unread,
    without_tags,
)
from collavo.datasets.instruction.source import BadRows, SourceSpec
from collavo.datasets.registration.generic_choices import holds
from collavo.datasets.registration.readers.parquet import (
    ParquetCell,
    group_column,
    image_folder,
    named_images,
    parquet_rows,
)
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError, MissingFileError
from collavo.records import Conversation, ImageRef, Turn

logger = logging.getLogger(__name__)

VERSION = 3
"""Counts changes of what is read and checked; part of the key of kept indexes."""

LARGE_GROUP = 64 << 20
"""Bytes of a row group from which rows in random order are slow to read: each reads its group."""

_COLUMNS = (("prompt", "ground_truth"), ("prompts", "ground_truths"))


class ParquetSource:
    """Rows of one parquet file, or of all parquet files below a folder, in the files' order.

    Args:
        spec: The source.

    Raises:
        MissingFileError: There is no parquet file.
        DataError: A file is broken or has not the columns.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        path = Path(spec.path).expanduser()
        self._base = path if path.is_dir() else path.parent
        self._files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not self._files or not self._files[0].is_file():
            raise MissingFileError(f"source {spec.name!r}: there is no parquet file at {path}")
        self._layouts = [_Layout(file) for file in self._files]
        self._ends = list(accumulate(layout.rows for layout in self._layouts))
        self._root = image_root(spec) if spec.images else None
        key = files_key(f"parquet {VERSION} {self._root and self._root.absolute()}", self._files)
        kept = load_kept(key)
        if kept is None:
            kept = self._scan()
            keep(key, kept)
        self._rows, self._images, self._turns, self._lengths = (
            kept.arrays[name] for name in ("rows", "images", "turns", "lengths")
        )
        self.bad = BadRows(
            kept.bad.count, tuple((f"{spec.name}:{n}", problem) for n, problem in kept.bad.first)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Conversation:
        """Reads one conversation; its images' bytes stay in the file until they are asked for.

        Raises:
            DataError: The file has changed since it was indexed.
        """
        number = int(self._rows[row])
        file = bisect_right(self._ends, number)
        layout = self._layouts[file]
        place = number - (self._ends[file] - layout.rows)
        group, inside = layout.place(place)
        values = {
            name: group_column(layout.file, group, name)[inside].as_py() for name in layout.texts
        }
        turns, problem = _turns(values, int(self._images[row]))
        if problem:
            raise DataError(
                f"{layout.file}, row {place + 1}: the file has changed since it was indexed"
            )
        return Conversation(
            sample_id=f"{self.spec.name}:{self._name(file, place)}",
            images=self._refs(layout, group, inside, place, int(self._images[row])),
            turns=turns,
            kind=self.spec.kind,
            task=self.spec.name,
            crayon_text=self.spec.crayon_text,
        )

    def num_images(self, row: int) -> int:
        """How many images a row is about."""
        return int(self._images[row])

    def has_image(self, row: int) -> bool:
        """Whether a row is about an image."""
        return bool(self._images[row])

    def num_turns(self, row: int) -> int:
        """How many turns a row has."""
        return int(self._turns[row])

    def length(self, row: int) -> int:
        """The length of a row's text in bytes."""
        return int(self._lengths[row])

    class_names = None

    def segments(self, row: int) -> None:
        """None: nothing is annotated."""

    def fingerprint(self) -> str:
        """The sha256 of the files' names, sizes and change times and of the rows' lengths.

        And of the state of images that the files only name.
        """
        names = (file.relative_to(self._base).as_posix() for file in self._files)
        whole = hashlib.sha256(f"{VERSION} {images_state(self._base, names)}".encode())
        for values in (self._rows, self._images, self._turns, self._lengths):
            whole.update(values.tobytes())
        for layout in self._layouts:
            named = list(named_images(layout.file, layout.image))
            folders = (
                (self._root,) if self._root else (layout.file.parent, image_folder(layout.file))
            )
            for folder in dict.fromkeys(folders) if named else ():
                whole.update(images_state(folder, named).encode())
        return whole.hexdigest()

    def _name(self, file: int, place: int) -> str:
        """A row's id: its file, below the source's folder, and its number from 1."""
        name = self._files[file].relative_to(self._base).with_suffix("").as_posix()
        return f"{name}/{place + 1}"

    def _refs(
        self, layout: _Layout, group: int, inside: int, place: int, count: int
    ) -> tuple[ImageRef, ...]:
        items = range(count) if layout.listed else [None] * count
        root = self._root or image_folder(layout.file)
        cells = (
            ParquetCell(layout.file, group, inside, layout.image, item, root) for item in items
        )
        name = f"{layout.file.name}, row {place + 1}"
        return tuple(
            ImageRef(cell=cell, name=name + (f", image {cell.item + 1}" if cell.item else ""))
            for cell in cells
        )

    def _unusable(self, layout: _Layout, values: Mapping[str, Any], images: int) -> str:
        """Says what a row has that is not read, or where its images are not to be read from."""
        if layout.image == "image" and holds(values.get("images")):
            return "it has 'images' in a file whose images are read from 'image'; keep one column"
        given = values.get(layout.image)
        root = self._root or image_folder(layout.file)
        for path in given if isinstance(given, list) else [given]:
            if isinstance(path, str):
                try:
                    place = repr(layout.image)
                    image_below(root, path, (layout.file.parent, root), place, IMAGES_MEND)
                except DataError as error:
                    return str(error)
        return unread(values, {layout.image, *layout.texts}, images)

    def _scan(self) -> Kept:
        """Reads all rows once, without their images' bytes."""
        rows, images, bad = array("q"), array("i"), BadRows()
        sizes, lengths = array("i"), array("q")
        number = -1
        for file, layout in enumerate(self._layouts):
            for place, row in enumerate(parquet_rows([layout.file], self._root)):
                number += 1
                given = row.values.get(layout.image)
                count = len(given) if isinstance(given, tuple | list) else int(given is not None)
                turns, problem = _turns(row.values, count)
                problem = self._unusable(layout, row.values, count) or problem
                if problem:
                    bad += BadRows(1, ((self._name(file, place), problem),))
                    continue
                rows.append(number)
                images.append(count)
                sizes.append(len(turns))
                lengths.append(sum(len(turn.text.encode()) for turn in turns))
        return Kept(
            {
                "rows": np.array(rows, dtype=np.int64),
                "images": np.array(images, dtype=np.int32),
                "turns": np.array(sizes, dtype=np.int32),
                "lengths": np.array(lengths, dtype=np.int64),
            },
            bad,
        )


class _Layout:
    """What a parquet file's footer says: its columns and row groups.

    Args:
        file: The file.

    Raises:
        DataError: It is broken or has not the columns.
    """

    def __init__(self, file: Path) -> None:
        import pyarrow
        import pyarrow.parquet as pq

        self.file = file
        try:
            with pq.ParquetFile(file) as source:
                names, meta = source.schema_arrow.names, source.metadata
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"{file} cannot be read as parquet: {error}; fetch it again") from error
        found = [pair for pair in _COLUMNS if set(pair) <= set(names)]
        if not found:
            wanted = " or ".join(" and ".join(pair) for pair in _COLUMNS)
            raise DataError(f"{file} has the columns {', '.join(names)}; it needs {wanted}")
        self.texts = found[0]
        self.image = "images" if "images" in names and "image" not in names else "image"
        self.listed = self.image == "images"
        groups = [meta.row_group(g) for g in range(meta.num_row_groups)]
        self._ends = list(accumulate(g.num_rows for g in groups))
        self.rows = meta.num_rows
        largest = max((g.total_byte_size for g in groups), default=0)
        if largest > LARGE_GROUP:
            logger.warning(
                "%s has row groups of %d MB, and each row that is drawn reads its group; write it "
                "anew with a row_group_size of some 100 rows",
                file,
                largest >> 20,
            )

    def place(self, row: int) -> tuple[int, int]:
        """Returns the row group of a row, and its number in there."""
        group = bisect_right(self._ends, row)
        return group, row - (self._ends[group - 1] if group else 0)


def _turns(values: Mapping[str, Any], images: int) -> tuple[tuple[Turn, ...], str]:
    """Returns the turns of a row, and what is wrong with it."""
    asked, said = next(
        ((values.get(q), values.get(a)) for q, a in _COLUMNS if q in values and a in values),
        (None, None),
    )
    questions = asked if isinstance(asked, list) else [asked]
    answers = said if isinstance(said, list) else [said]
    if not questions or len(questions) != len(answers):
        return (), f"it has {len(questions)} prompts and {len(answers)} answers; give one for each"
    turns: list[Turn] = []
    tags = 0
    for question, answer in zip(questions, answers, strict=True):
        for role, text in (("user", question), ("assistant", answer)):
            place = f"turn {len(turns) + 1}"
            if not isinstance(text, str):
                return (), f"{place} must be text, got {type(text).__name__}"
            if not text.strip():
                return (), f"{place} has no text; mend or remove the row"
            if problem := misplaced(role, text):
                return (), f"{place} {problem}"
            tags += text.count(IMAGE_TAG)
            turns.append(Turn(role, without_tags(text) if IMAGE_TAG in text else text))
    if tags and tags != images:
        return (), (
            f"it has {images} images and {tags} {IMAGE_TAG!r}; give each image one tag, or write "
            "no tags at all"
        )
    return tuple(turns), ""
