"""Some rows of a source: those within a limit, or those that can be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from collavo.datasets.instruction.source import BadRows, Source, SourceSpec
from collavo.records import Conversation, Segments


@dataclass(frozen=True)
class Selected:
    """Some rows of a source, in their order.

    Args:
        source: The source.
        rows: The numbers of the rows that are kept.
        dropped: Rows of the source that were found unusable.
    """

    source: Source
    rows: np.ndarray = field(repr=False)
    dropped: BadRows = BadRows()

    @property
    def spec(self) -> SourceSpec:
        """What the source was made from."""
        return self.source.spec

    @property
    def bad(self) -> BadRows:
        """Rows that were left out, here and in the source."""
        return self.source.bad + self.dropped

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Conversation:
        return self.source[int(self.rows[row])]

    def num_images(self, row: int) -> int:
        """How many images a row is about."""
        return self.source.num_images(int(self.rows[row]))

    def has_image(self, row: int) -> bool:
        """Whether a row is about an image."""
        return self.source.has_image(int(self.rows[row]))

    def num_turns(self, row: int) -> int:
        """How many turns a row has."""
        return self.source.num_turns(int(self.rows[row]))

    def length(self, row: int) -> int:
        """The length of a row's text."""
        return self.source.length(int(self.rows[row]))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the label ids of annotated segments."""
        return self.source.class_names

    def segments(self, row: int) -> Segments | None:
        """The annotated segments of a row's image, where there are any."""
        return self.source.segments(int(self.rows[row]))

    def fingerprint(self) -> str:
        """A hash of the source's and of which rows are kept."""
        whole = hashlib.sha256(self.source.fingerprint().encode())
        whole.update(np.ascontiguousarray(self.rows, dtype=np.int64).tobytes())
        return whole.hexdigest()
