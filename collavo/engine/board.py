"""What the processes of one launch share: counters and notes, without collectives."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.05


class EngineError(RuntimeError):
    """A run that cannot go on, though nothing that the user gave is wrong."""


class LostProcessError(EngineError):
    """Another process of the launch does not move any more."""


class Board(ABC):
    """Counters and notes under names, seen by all processes of a launch."""

    rank: int = 0
    world: int = 1

    @abstractmethod
    def add(self, name: str, amount: int) -> int:
        """Adds to a counter in one step and returns its new value; unknown counters start at 0."""

    @abstractmethod
    def put(self, name: str, value: Any) -> None:
        """Leaves a note (anything JSON holds)."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Says whether the note is there, without waiting."""

    @abstractmethod
    def take(self, name: str) -> Any:
        """Reads a note that is there."""

    def wait(self, name: str, timeout: float = 0.0, sign_of_life: str = "") -> Any:
        """Waits for a note and reads it.

        Args:
            name: The note.
            timeout: Seconds without any change of `sign_of_life` after which it gives up; 0 waits
                as long as the store lives.
            sign_of_life: The counter that its writer moves.

        Raises:
            LostProcessError: The writer does not move any more.
        """
        last, since = -1, time.monotonic()
        while not self.has(name):
            now = self.add(sign_of_life, 0) if sign_of_life else 0
            if now != last:
                last, since = now, time.monotonic()
            if timeout and time.monotonic() - since > timeout:
                raise LostProcessError(
                    f"no sign of life from another process for {timeout:.0f} s (waiting for "
                    f"{name!r}); what is finished is on disk, start the run again to resume"
                )
            time.sleep(POLL_SECONDS)
        return self.take(name)


class LocalBoard(Board):
    """The board of a process that is alone."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}
        self._notes: dict[str, str] = {}

    def add(self, name: str, amount: int) -> int:
        self._counters[name] = self._counters.get(name, 0) + amount
        return self._counters[name]

    def put(self, name: str, value: Any) -> None:
        self._notes[name] = json.dumps(value)

    def has(self, name: str) -> bool:
        return name in self._notes

    def take(self, name: str) -> Any:
        return json.loads(self._notes[name])


class StoreBoard(Board):
    """The board on torch.distributed's key-value store that the launcher's rendezvous brings up.

    Args:
        store: The store; `add` must be atomic over processes, as TCPStore's is.
        rank: This process.
        world: How many there are.
        timeout: Seconds after which an operation of the store gives up.
    """

    def __init__(self, store: Any, rank: int, world: int, timeout: float = 600.0) -> None:
        from datetime import timedelta

        self.rank, self.world, self._store = rank, world, store
        if timeout > 0:
            store.set_timeout(timedelta(seconds=timeout))

    def add(self, name: str, amount: int) -> int:
        return int(self._call("add", f"collavo/{name}", amount))

    def put(self, name: str, value: Any) -> None:
        self._call("set", f"collavo/{name}", json.dumps(value))

    def has(self, name: str) -> bool:
        return bool(self._call("check", [f"collavo/{name}"]))

    def take(self, name: str) -> Any:
        return json.loads(self._call("get", f"collavo/{name}"))

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._store, method)(*arguments)
        except RuntimeError as error:  # torch's DistError and its kin
            raise LostProcessError(f"the launcher's store is gone: {error}") from error


class Queue:
    """Hands out positions 0, 1, ... `length` - 1 to whichever process asks first.

    Args:
        board: The board that counts.
        name: The counter.
        length: How many positions there are.
    """

    def __init__(self, board: Board, name: str, length: int) -> None:
        self._board, self._name, self._length = board, name, length
        self._seen = 0

    def share(self, most: int) -> int:
        """Returns how many positions to work on at once; fewer towards the end, for balance."""
        if self._board.world == 1:
            return max(1, most)
        return max(1, min(most, self._left // (2 * self._board.world)))

    def claim(self, most: int) -> range:
        """Takes up to `most` positions, which no other process gets; empty when all are taken."""
        if self._left == 0:
            return range(0)
        end = self._board.add(self._name, most)
        self._seen = end
        return range(min(end - most, self._length), min(end, self._length))

    @property
    def nearly_empty(self) -> bool:
        """Whether taking ahead of need would leave another process idle."""
        return self._board.world > 1 and self._left <= 2 * self._board.world

    @property
    def _left(self) -> int:
        """Positions that were free at the last look."""
        return max(0, self._length - self._seen)


def every(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """Returns a call that runs `action` at most once in `seconds`."""
    last = [float("-inf")]

    def call() -> None:
        now = time.monotonic()
        if now - last[0] >= seconds:
            last[0] = now
            action()

    return call
