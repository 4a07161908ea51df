"""What a training reports as it goes: a line a step on disk, a bar, and the trackers."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from collavo.engine.display import words
from collavo.engine.store import writing_failed
from collavo.engine.training.curves import read_metrics
from collavo.terminal import console, one_line

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"


class Meter:
    """Writes metrics.jsonl and shows the progress, in the main process alone.

    Args:
        folder: The run's folder.
        name: The stage.
        first: The step that training (re)starts at; later lines of an earlier run are dropped.
        steps: All steps of the stage.
        every: Steps between two lines of the log, and between two reports to the trackers.
        trackers: accelerate's trackers.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        first: int,
        steps: int,
        every: int,
        trackers: list[Any],
    ) -> None:
        self._name, self._steps, self._every = name, steps, every
        self._trackers = trackers
        self.file = folder / METRICS
        kept = [row for row in read_metrics(self.file) if row["step"] <= first]
        new = self.file.with_suffix(".new")
        new.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(new, self.file)
        self._out = self.file.open("a", encoding="utf-8")
        self._first, self._start = first, time.monotonic()
        self._last, self._tokens = self._start, 0
        self._bar = _bar(name, first, steps) if sys.stderr.isatty() else None

    def step(self, step: int, figures: Mapping[str, Any], tokens: int) -> None:
        """Reports a finished step.

        Args:
            step: Its number, from 1.
            figures: loss, lr, kind, grad_norm and others.
            tokens: Tokens that all processes saw in it.

        Raises:
            StoreError: The line cannot be written.
        """
        now = time.monotonic()
        row = {"step": step, **figures, "tokens": tokens, "seconds": round(now - self._last, 4)}
        self._last = now
        self._tokens += tokens
        try:
            self._out.write(json.dumps(row) + "\n")
            self._out.flush()
        except OSError as error:
            raise writing_failed(self.file, error) from error
        spent = now - self._start
        left = spent / (step - self._first) * (self._steps - step)
        speed = self._tokens / spent
        loss = figures.get("loss")
        shown = "skipped" if loss is None else f"loss {loss:.4f}"
        text = f"{shown}, lr {figures['lr']:.2e}, {speed:,.0f} tokens/s"
        if self._bar is not None:
            self._bar[0].update(self._bar[1], completed=step, description=f"{self._name}: {text}")
        if step % self._every and step != self._steps:
            return
        if self._bar is None:
            logger.info(
                "%s: step %d of %d, %s, about %s left",
                *(self._name, step, self._steps, text, words(left)),
            )
        numbers = {k: v for k, v in row.items() if isinstance(v, (int, float))}
        for tracker in self._trackers:
            tracker.log({**numbers, "tokens_per_second": speed}, step=step)

    def close(self) -> None:
        """Ends the bar and the files."""
        if self._bar is not None:
            self._bar[0].stop()
        with suppress(OSError):  # what could not be written has been said
            self._out.close()
        for tracker in self._trackers:
            tracker.finish()


def _bar(name: str, first: int, steps: int) -> tuple[Any, Any]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console(stderr=True),
    )
    task = bar.add_task(one_line(name), total=steps, completed=first)
    bar.start()
    return bar, task
