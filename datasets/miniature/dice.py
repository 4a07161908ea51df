"""Random choices that come out the same on every machine and every Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from a seed, through `random.Random(seed).random()` alone.

    Python promises that method's sequence for a given integer seed; it does not promise that of
    `choice`, `shuffle` or `sample`, which are therefore made here.

    Args:
        seed: Any non-negative integer.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random

    def uniform(self, low: float, high: float) -> float:
        """Draws a number from [low, high)."""
        return low + (high - low) * self._draw()

    def integer(self, low: int, high: int) -> int:
        """Draws a whole number from low to high, both included."""
        return low + int(self._draw() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Says True with the given probability."""
        return self._draw() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Draws one of `items`."""
        return items[self.integer(0, len(items) - 1)]

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """Draws one of `items` with chances in proportion to `weights`."""
        point = self.uniform(0, sum(weights))
        for item, weight in zip(items, weights, strict=True):
            point -= weight
            if point < 0:
                return item
        return items[-1]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Draws `count` different places of `items`, in random order."""
        left = list(items)
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(min(count, len(left)))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns `items` in random order."""
        return self.sample(items, len(items))
