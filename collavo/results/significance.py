"""Tests of whether two runs differ: McNemar's, sign flips by image, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

EXACT_BELOW = 25
"""Discordant pairs below which McNemar's test is exact (Fagerland et al., 2013, BMC MRM 13:91)."""

FLIPS = 9999
"""Random sign flips; all of them are tried where there are no more than 2 ** `ALL_UP_TO`."""

ALL_UP_TO = 12

_CHUNK = 256


@dataclass(frozen=True)
class McNemar:
    """McNemar's test, which takes questions as independent of each other.

    Args:
        broken: Samples that only the first run has right.
        fixed: Samples that only the second run has right.
        p: The two-sided p-value.
        statistic: Chi-square with continuity correction; None for the exact test.
        method: Which of the two.
    """

    broken: int
    fixed: int
    p: float
    statistic: float | None
    method: str


def mcnemar(broken: int, fixed: int) -> McNemar:
    """Tests whether one of two runs is right more often, from the samples that differ.

    Source: McNemar, 1947, Psychometrika 12; the correction is Edwards', 1948.
    """
    total = broken + fixed
    if total < EXACT_BELOW:
        tail = sum(math.comb(total, k) for k in range(min(broken, fixed) + 1))
        p = min(1.0, 2 * tail / 2**total)
        return McNemar(broken, fixed, p, None, "exact binomial")
    statistic = max(abs(broken - fixed) - 1, 0) ** 2 / total
    # The upper tail of chi-square with one degree of freedom.
    p = math.erfc(math.sqrt(statistic / 2))
    return McNemar(broken, fixed, p, statistic, "chi-square, continuity corrected")


def sign_flip_p(differences: Array, seed: int = 0) -> float:
    """Two-sided p-value of the sum of differences, the sign of each image's being arbitrary.

    Under the hypothesis that the runs are exchangeable, each cluster's difference is as likely as
    its negative. Valid for right and wrong as for soft scores, and for questions that hang
    together. Source: Fisher, 1935, "The Design of Experiments", section 21.

    Args:
        differences: Summed over each cluster (clusters).
        seed: Of the random flips.
    """
    moved = np.asarray(differences, dtype=np.float64)
    moved = moved[moved != 0]
    if not len(moved):
        return 1.0
    seen = abs(float(moved.sum())) * (1 - 1e-12)
    if len(moved) <= ALL_UP_TO:
        bits = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float((np.abs(_sums(1 - 2 * bits, moved)) >= seen).mean())
    generator = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, FLIPS, _CHUNK):
        rows = min(_CHUNK, FLIPS - start)
        signs = 1 - 2 * generator.integers(0, 2, (rows, len(moved)))
        extreme += int((np.abs(_sums(signs, moved)) >= seen).sum())
    return (extreme + 1) / (FLIPS + 1)


def _sums(signs: NDArray[np.int64], values: Array) -> Array:
    return np.einsum("rc,c->r", signs.astype(np.float64), values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values of several tests for their number, keeping their order.

    Source: Holm, 1979, Scandinavian Journal of Statistics 6.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, place in enumerate(sorted(range(count), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
