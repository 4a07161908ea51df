"""Loads the micro-batches of the next steps in a thread while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from collavo.engine.training.task import Place

DEPTH = 2
"""Steps that are loaded ahead."""


class Ahead:
    """Iterates over the micro-batches of each step.

    Loading runs in one thread, in order, so that what it draws at random stays reproducible.

    Args:
        load: Gives a micro-batch.
        places: The micro-batches of this process in each step.
        first: The first step.
        end: The step before which it ends.
    """

    def __init__(
        self, load: Callable[[int, Place], Any], places: Sequence[Place], first: int, end: int
    ) -> None:
        self._load, self._places = load, places
        self._steps = iter(range(first, end))
        self._pool = ThreadPoolExecutor(1, "batches")
        self._waiting: deque[Future[list[Any]]] = deque()

    def __enter__(self) -> Ahead:
        for _ in range(DEPTH):
            self._submit()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        if not self._waiting:
            raise StopIteration
        batches = self._waiting.popleft().result()
        self._submit()
        return batches

    def _submit(self) -> None:
        step = next(self._steps, None)
        if step is not None:
            self._waiting.append(self._pool.submit(self._all, step))

    def _all(self, step: int) -> list[Any]:
        return [self._load(step, place) for place in self._places]
