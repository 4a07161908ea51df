"""Several sources as one: a reference names a source and a row of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from collavo.datasets.instruction.source import BadRows, Source
from collavo.errors import ConfigError, DataError
from collavo.records import Conversation, Segments


@dataclass(frozen=True)
class Ref:
    """One conversation of a mix.

    Args:
        source: The number of its source in the mix.
        row: Its number in the source.
    """

    source: int
    row: int


class Mix:
    """Sources that are trained on together; `mix[ref]` reads a conversation.

    Args:
        sources: With different names.

    Raises:
        DataError: There is no source, or one has no rows.
        ConfigError: A name repeats, all weights are 0, or classes differ.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        if not self.sources:
            raise DataError("there is no data to train on; name sources in TRAIN.DATA")
        names = Counter(source.spec.name for source in self.sources)
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            raise ConfigError(
                f"several sources are called {', '.join(repeated)}; give each its own name= (it "
                "stands in sample ids and logs)"
            )
        for source in self.sources:
            if not len(source):
                found = f"; {source.bad.count} rows are unusable:\n{source.bad.text()}"
                raise DataError(
                    f"source {source.spec.name!r} ({source.spec.path}) has no rows to train on"
                    + (found if source.bad.count else "")
                )
        annotated = [s for s in self.sources if s.class_names is not None]
        for source in annotated[1:]:
            if source.class_names != annotated[0].class_names:
                raise ConfigError(
                    f"the sources {annotated[0].spec.name} and {source.spec.name} are annotated "
                    "with different classes, and a model has one crayon vocabulary: train them "
                    "apart, or write both files with the same categories"
                )
        if not any(source.spec.weight for source in self.sources):
            raise ConfigError("all sources have weight 0; give one a weight above 0")

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __getitem__(self, ref: Ref) -> Conversation:
        return self.sources[ref.source][ref.row]

    def segments(self, ref: Ref) -> Segments | None:
        """Returns the annotated segments of a crayon instruction's image, else None.

        Its answer numbers the objects as these are numbered; a segmenter may find others.
        """
        return self.sources[ref.source].segments(ref.row)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the label ids of annotated segments; None where nothing is annotated."""
        return next((s.class_names for s in self.sources if s.class_names is not None), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names, which are the tasks' names."""
        return tuple(source.spec.name for source in self.sources)

    @property
    def bad(self) -> BadRows:
        """The unusable rows of all sources."""
        return sum((source.bad for source in self.sources), BadRows())

    def fingerprint(self) -> str:
        """A hash of what the sources hold and how they are mixed."""
        whole = hashlib.sha256()
        for source in self.sources:
            spec = source.spec
            said = (spec.name, spec.kind, spec.weight, spec.crayon_text, spec.limit, len(source))
            whole.update(f"{said} {source.fingerprint()}\n".encode())
        return whole.hexdigest()
