"""What a reading left aside or took in a way worth a word: collected, and shown with every result.

A reader calls `note("what", place)`; who reads a dataset collects. `check` prints the notes, and
`score` and `eval` put them into results.json and under their tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_notes: ContextVar[dict[str, list[str]] | None] = ContextVar("notes", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, list[str]]]:
    """Collects the notes that readers leave within; see `sentences`."""
    found: dict[str, list[str]] = {}
    token = _notes.set(found)
    try:
        yield found
    finally:
        _notes.reset(token)


def note(what: str, place: str = "") -> None:
    """Leaves a note; equal ones of many rows become one sentence.

    Args:
        what: The sentence, without a period.
        place: File and row, where it is about a row.
    """
    found = _notes.get()
    if found is not None:
        found.setdefault(what, []).append(place)


def sentences(found: dict[str, list[str]]) -> tuple[str, ...]:
    """Words what was collected: each note once, with the number of its rows and the first one."""
    said = []
    for what, places in found.items():
        rows = [place for place in places if place]
        count = f" ({len(rows):,} row{'s' * (len(rows) > 1)}, first {rows[0]})" if rows else ""
        said.append(f"{what}{count}.")
    return tuple(said)
