"""Marks on disk of what is being computed, so that a sample that kills its process is found out.

Before a unit is computed its key is written down, and crossed out when it is finished. A unit that
a launch began and did not finish is computed alone, question by question, each written down
first, in a child process (see `alone`). Where the child dies and its parent lives, the last thing
that it wrote down is to blame; the parent says so. What is blamed `TRIES` times is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from collavo.engine.plan import Unit
from collavo.engine.store import STARTED, Appender, StoreError, launch_of, rows_of_file
from collavo.records import Sample

TRIES = 2
"""Deaths of a child over one question; a single one may have been a kill from outside."""


class Markers:
    """The marks of one process in one launch.

    Args:
        file: Its own file.
    """

    def __init__(self, file: Appender) -> None:
        self._file = file

    def begin(self, units: Iterable[Unit]) -> None:
        """Marks units as begun."""
        self._file.write(json.dumps({"begin": u.key}) for u in units)

    def alone(self, unit: Unit, sample_id: str = "") -> None:
        """Marks a question (or the reading of the unit's image) as begun alone."""
        self._file.write([json.dumps({"alone": unit.key, "sample": sample_id})])

    def end(self, units: Iterable[Unit]) -> None:
        """Marks units as finished."""
        self._file.write(json.dumps({"end": u.key}) for u in units)

    def died(self) -> None:
        """Says for a child that is dead: it died of what it had begun alone."""
        self._file.write([json.dumps({"died": True})])

    def release(self) -> None:
        """Says that the process ended in order: what it had begun is not suspicious."""
        self._file.write([json.dumps({"released": True})])

    def close(self) -> None:
        """Closes the file; without `release` what was begun stays suspicious."""
        self._file.close()


class Suspects:
    """What earlier launches began and did not finish.

    Args:
        attempts: How many launches died over a unit, by its key.
        blamed: Sample ids ("" for the unit's image), once for each child that died of them, by the
            key of the unit.
    """

    def __init__(
        self, attempts: dict[str, int] | None = None, blamed: dict[str, list[str]] | None = None
    ) -> None:
        self.attempts = attempts or {}
        self.blamed = blamed or {}

    @classmethod
    def read(cls, folder: Path, before: int) -> Suspects:
        """Reads the marks of all launches before the given one.

        Args:
            folder: The run folder.
            before: The number of this launch.
        """
        found = cls()
        for file in sorted((folder / STARTED).glob("*.jsonl")):
            if launch_of(file) < before:
                found._add([_checked(row, file) for row in rows_of_file(file)])
        return found

    def _add(self, rows: Sequence[dict[str, Any]]) -> None:
        for key in {row["end"] for row in rows if "end" in row}:
            self.attempts.pop(key, None)
            if not any(self._culprits(key)):
                self.blamed.pop(key, None)
        if not rows or "released" in rows[-1]:
            return
        for key in _unfinished(rows):
            self.attempts[key] = self.attempts.get(key, 0) + 1
        last: dict[str, Any] = next((row for row in reversed(rows) if "died" not in row), {})
        if "died" in rows[-1] and "alone" in last:
            self.blamed.setdefault(last["alone"], []).append(last["sample"])

    def note(self) -> dict[str, Any]:
        """What the other processes have to know, as JSON holds it."""
        return {"attempts": self.attempts, "blamed": self.blamed}

    def is_alone(self, unit: Unit) -> bool:
        """Says whether a unit has to be computed alone."""
        return unit.key in self.attempts or unit.key in self.blamed

    def blame(self, unit: Unit, sample: Sample) -> int:
        """Says how many children died of a question."""
        return self.blamed.get(unit.key, []).count(sample.sample_id)

    def at_fault(self, unit: Unit) -> tuple[bool, set[str]]:
        """Says whether the unit's image is found to kill processes, and which questions are."""
        names = set(self._culprits(unit.key))
        return "" in names, names - {""}

    def _culprits(self, key: str) -> list[str]:
        names = self.blamed.get(key, [])
        return [name for name in dict.fromkeys(names) if names.count(name) >= TRIES]


def _checked(row: dict[str, Any], file: Path) -> dict[str, Any]:
    """A mark whose fields are texts.

    Raises:
        StoreError: They are not.
    """
    named = ("begin", "end", "alone", "sample")
    if not all(isinstance(row[name], str) for name in named if name in row) or (
        "alone" in row and "sample" not in row
    ):
        raise StoreError(
            f"a mark in {file} is damaged: {json.dumps(row)[:120]}. Remove the line, or start anew "
            "with --fresh"
        )
    return row


def _unfinished(rows: Sequence[dict[str, Any]]) -> set[str]:
    begun: set[str] = set()
    for row in rows:
        if "begin" in row:
            begun.add(row["begin"])
        elif "end" in row:
            begun.discard(row["end"])
    return begun
