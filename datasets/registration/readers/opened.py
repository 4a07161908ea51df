"""Remembers which files a dataset was read from, for who wants to name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_opened: ContextVar[dict[Path, None] | None] = ContextVar("opened", default=None)

_first_only: ContextVar[bool] = ContextVar("first_only", default=False)


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
    """Says that a reader opens this file.

    Raises:
        FoundError: Within `first_only`: to read on is not wanted.
    """
    files = _opened.get()
    if files is not None:
        files[path] = None
    if _first_only.get():
        raise FoundError(path)


class FoundError(Exception):
    """Ends the reading of a dataset at its first file, which is the argument."""


@contextmanager
def first_only() -> Iterator[None]:
    """Lets readers go as far as the first file: who asks where it is needs no more."""
    token = _first_only.set(True)
    try:
        yield
    finally:
        _first_only.reset(token)
