"""Random orders and numbers that are pure functions of a text, on every machine and for ever.

Source: the SplitMix64 generator (Steele, Lea, Flood, OOPSLA 2014), whose n-th number needs no
other; numpy's own generators may change between its releases.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15


def numbers(key: str, start: int, count: int) -> np.ndarray:
    """Returns `count` random uint64, the `start`-th and following of the stream called `key`."""
    base = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    first = (base + (start + 1) * _GOLDEN) % (1 << 64)
    z = np.uint64(first) + np.arange(count, dtype=np.uint64) * np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(key: str, start: int, count: int) -> np.ndarray:
    """Returns `count` random float64 in [0, 1)."""
    return (numbers(key, start, count) >> np.uint64(11)) * 2.0**-53


def order(key: str, count: int) -> np.ndarray:
    """Returns the numbers 0..count-1 in random order, int64."""
    return np.argsort(numbers(key, 0, count), kind="stable")
