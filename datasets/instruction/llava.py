"""Conversations in LLaVA's JSON: its 558k and 665k, ShareGPT4V, and files of the same form."""

from __future__ import annotations

import hashlib
from pathlib import Path

from collavo.datasets.instruction.image_state import images_state
from collavo.datasets.instruction.index import (
    RowFile,
    RowIndex,
    file_index,
    image_names,
    row_id,
)
from collavo.datasets.instruction.rows import IMAGES_MEND, read_row
from collavo.datasets.instruction.source import BadRows, SourceSpec
from collavo.datasets.registration.readers.rows import parse_json
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError, MissingFileError
from collavo.modeling.checkpoints.digest import file_digest
from collavo.records import Conversation


class LlavaSource:
    """A JSON array or lines of `{id, image?, conversations: [{from, value}, ...]}`.

    The file stays on disk: an index says where its rows are. An id that repeats in the file (as in
    LLaVA's 665k, where one image has several rows) becomes `<id>#2`, `<id>#3`.

    Args:
        spec: The source.

    Raises:
        MissingFileError: The file, or the folder of images, is not there.
        DataError: The file is broken.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        self._path = Path(spec.path).expanduser()
        self._file = RowFile(self._path)
        self._root = image_root(spec)
        self._index: RowIndex = file_index(self._path, self._root)
        self.bad = BadRows(
            self._index.bad.count,
            tuple((f"{spec.name}:{name}", problem) for name, problem in self._index.bad.first),
        )

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, row: int) -> Conversation:
        """Reads one conversation.

        Raises:
            DataError: The file has changed since it was indexed.
        """
        index = self._index
        number, repeat = int(index.numbers[row]), int(index.repeats[row])
        data = self._file.read(int(index.starts[row]), int(index.sizes[row]))
        changed = DataError(
            f"{self._path}, row {number}: the file has changed since it was indexed; start anew"
        )
        try:
            values = parse_json(data.decode("utf-8"), self._path)
        except (UnicodeDecodeError, DataError) as error:
            raise changed from error
        content = read_row(values, self._root) if isinstance(values, dict) else None
        if content is None or content.problem:
            raise changed
        name = row_id(values, number)
        return Conversation(
            sample_id=f"{self.spec.name}:{name}{f'#{repeat}' if repeat > 1 else ''}",
            images=tuple(
                image_below(self._root, name, self._root, str(self._path), IMAGES_MEND)
                for name in content.images
            ),
            turns=content.turns,
            kind=self.spec.kind,
            task=self.spec.name,
            crayon_text=self.spec.crayon_text,
        )

    def num_images(self, row: int) -> int:
        """How many images a row is about."""
        return int(self._index.images[row])

    def has_image(self, row: int) -> bool:
        """Whether a row is about an image."""
        return bool(self._index.images[row])

    def num_turns(self, row: int) -> int:
        """How many turns a row has."""
        return int(self._index.turns[row])

    def length(self, row: int) -> int:
        """The length of a row's text in bytes, its tags counted."""
        return int(self._index.lengths[row])

    class_names = None

    def segments(self, row: int) -> None:
        """None: nothing is annotated."""

    def fingerprint(self) -> str:
        """The sha256 of the file, and of the images' names, sizes and change times."""
        whole = hashlib.sha256(self._index.digest().encode())
        whole.update(file_digest(self._path).encode())
        names = image_names(self._path, self._root)
        whole.update(images_state(self._root, names).encode())
        return whole.hexdigest()


def image_root(spec: SourceSpec) -> Path:
    """The folder that a source's image paths are relative to.

    Raises:
        MissingFileError: `images` names a folder that is not there.
    """
    if not spec.images:
        return Path(spec.path).expanduser().parent
    root = Path(spec.images).expanduser()
    if not root.is_dir():
        raise MissingFileError(
            f"source {spec.name!r}: there is no image folder {root}; set images= to the folder "
            "that the rows' image paths are relative to"
        )
    return root
