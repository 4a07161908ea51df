"""The border to the terminal: data shown escaped, piped tables whole, closed pipes survived."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from collavo.pulse import touch

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED = 100_000
"""Columns where there is no terminal: nothing is wrapped or cut there."""


def printable(text: object) -> str:
    r"""Writes what a terminal would act on, or not show, as an escape: "\x1b[2J", "\u202e".

    Line ends and tabs stay: they are ours. Control and format characters (C0, C1, bidirectional
    overrides, zero-width ones), half surrogates and unassigned characters are escaped.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in shown)


def one_line(text: object) -> str:
    """The same, with line ends and tabs escaped too: for cells and names."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(text: object = "", file: TextIO | None = None) -> None:
    """Prints a line that may hold texts of data."""
    print(printable(text), file=file or sys.stdout)
    touch()


def console(stderr: bool = False) -> Console:
    """Makes the console that tables and bars are shown on.

    Texts are shown as they are: no `[red]` and no `:smile:` of data means anything.

    Args:
        stderr: Write to standard error.
    """
    from rich.console import Console

    class Plain(Console):
        """Escapes the texts that it prints."""

        def print(self, *objects: Any, **options: Any) -> None:
            texts = (printable(item) if isinstance(item, str) else item for item in objects)
            super().print(*texts, **options)
            touch()

        def on_broken_pipe(self) -> None:
            """Leaves it to the command what a reader's leaving means; rich would end it with 1."""
            raise BrokenPipeError

    shown = (sys.stderr if stderr else sys.stdout).isatty()
    return Plain(
        stderr=stderr,
        emoji=False,
        markup=False,
        highlight=False,
        width=None if shown else UNBOUNDED,
    )


class Formatter(logging.Formatter):
    """Formats log lines with the texts of data escaped; lines of tracebacks stay lines."""

    def format(self, record: logging.LogRecord) -> str:
        touch()
        return printable(super().format(record))


class Stdout:
    """Standard output that may be closed at any time, as by `| head`.

    Args:
        stream: The stream.
        goes_on: Whether the command goes on without a reader, since its work is in files; else
            the first write that nobody reads raises BrokenPipeError.
    """

    def __init__(self, stream: TextIO, goes_on: bool) -> None:
        self._stream, self._goes_on = stream, goes_on

    def write(self, text: str) -> int:
        """Writes, as long as there is a reader."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """Flushes, as long as there is a reader."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _leave(self) -> None:
        """Turns to the null device, so that the interpreter's own last flush is quiet, too."""
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, self._stream.fileno())
        finally:
            os.close(null)
        if not self._goes_on:
            raise BrokenPipeError
