"""Marks on disk of what is being computed, so that a sample that kills its process is found out.

Before a unit is computed its key is written down, and crossed out when it is finished. A unit that
two launches began and did not finish is computed alone, question by question, each written down
first. Where that too kills the process, the last thing written down is at fault.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from collavo.engine.plan import Unit
from collavo.engine.store import STARTED, Appender, launch_of, rows_of_file

SUSPICIOUS = 2
"""Launches that began a unit and did not finish it, after which it is computed alone."""


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
        culprits: Sample ids ("" for reading the image) that died alone, by the key of the unit.
    """

    def __init__(
        self, attempts: dict[str, int] | None = None, culprits: dict[str, list[str]] | None = None
    ) -> None:
        self.attempts = attempts or {}
        self.culprits = culprits or {}

    @classmethod
    def read(cls, folder: Path, before: int) -> Suspects:
        """Reads the marks of all launches before the given one.

        Args:
            folder: The run folder.
            before: The number of this launch.
        """
        attempts: Counter[str] = Counter()
        culprits: dict[str, list[str]] = {}
        for file in sorted((folder / STARTED).glob("*.jsonl")):
            if launch_of(file) >= before:
                continue
            rows = list(rows_of_file(file))
            for row in rows:
                attempts.pop(row.get("end", ""), None)
            if not rows or "released" in rows[-1]:
                continue
            attempts.update(_unfinished(rows))
            last = rows[-1]
            if "alone" in last:
                culprits.setdefault(last["alone"], []).append(last["sample"])
        return cls(dict(attempts), culprits)

    def note(self) -> dict[str, Any]:
        """What the other processes have to know, as JSON holds it."""
        return {"attempts": self.attempts, "culprits": self.culprits}

    def is_alone(self, unit: Unit) -> bool:
        """Says whether a unit has to be computed alone."""
        return self.attempts.get(unit.key, 0) >= SUSPICIOUS or unit.key in self.culprits

    def died(self, unit: Unit) -> tuple[bool, set[str]]:
        """Says whether reading the unit's image killed a process, and which questions did."""
        names = self.culprits.get(unit.key, [])
        return "" in names, {n for n in names if n}


def _unfinished(rows: Sequence[dict[str, Any]]) -> set[str]:
    begun: set[str] = set()
    for row in rows:
        if "begin" in row:
            begun.add(row["begin"])
        elif "end" in row:
            begun.discard(row["end"])
    return begun
