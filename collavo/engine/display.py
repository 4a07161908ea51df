"""How far a run is: a bar with the time left on a terminal, a line in the log elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import ExitStack
from types import TracebackType

from collavo.pulse import Doing, during
from collavo.terminal import console, one_line

logger = logging.getLogger(__name__)

LOG_EVERY = 10.0
FIRST_AFTER = 2.0


def main_warning(text: str, *arguments: object) -> None:
    """Warns of what all processes of a launch see, once."""
    if os.environ.get("RANK", "0") == "0":
        logger.warning(text, *arguments)


class Display:
    """Shows the progress of one dataset; does nothing outside the main process.

    Args:
        name: The dataset.
        total: Samples to answer in this launch.
        active: Whether to show anything.
    """

    def __init__(self, name: str, total: int, active: bool) -> None:
        self._name, self._total, self._active = name, total, active
        self._start = self._last = time.monotonic()
        self._bar = None
        self._stack, self._doing = ExitStack(), Doing("")
        if active and sys.stderr.isatty():
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console(stderr=True),
            )
            self._task = self._bar.add_task(one_line(name), total=total)

    def show(self, stored: int) -> None:
        """Shows that so many samples are stored."""
        if not self._active:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=min(stored, self._total))
            return
        now = time.monotonic()
        # the first line comes soon: until then nobody knows how fast it is
        wait = FIRST_AFTER if self._last == self._start else LOG_EVERY
        if now - self._last < wait or not stored:
            return
        self._last = now
        self._doing.what = ""
        left = (now - self._start) / stored * max(0, self._total - stored)
        logger.info("%s: %d of %d, about %s left", self._name, stored, self._total, words(left))

    def __enter__(self) -> Display:
        bar = self._bar is not None
        first = "" if bar else f"{one_line(self._name)}: answering the first questions"
        self._doing = self._stack.enter_context(during(first))
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._stack.close()


def words(seconds: float) -> str:
    """Words a duration: "42 s", "3 min 5 s", "2 h 10 min"."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
