"""Remembers which files a dataset was read from, for who wants to name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_opened: ContextVar[dict[Path, None] | None] = ContextVar("opened", default=None)


@contextmanager
def recording() -> Iterator[dict[Path, None]]:
    """Collects the files that readers open within, in order; the keys of what it yields."""
    files: dict[Path, None] = {}
    token = _opened.set(files)
    try:
        yield files
    finally:
        _opened.reset(token)


def note_opened(path: Path) -> None:
    """Says that a reader opens this file."""
    files = _opened.get()
    if files is not None:
        files[path] = None
