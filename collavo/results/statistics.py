"""Confidence intervals of headline figures, by a bootstrap clustered by image.

Questions on one image are not independent, so images are drawn, with all their questions.
Source: Efron and Tibshirani, 1993, "An Introduction to the Bootstrap", chapters 8 and 13; the
percentiles are expanded for few clusters as in Hesterberg, 2015, doi 10.1080/00031305.2015.1089789.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collavo.results.clusters import Clusters, find_clusters
from collavo.results.resampling import SEED, headline_draws
from collavo.results.scored import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEVEL = 0.95
METHOD = "percentile bootstrap, clustered by image"


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of its figure.

    Args:
        low: Its lower end.
        high: Its upper end.
        level: The share of such intervals that hold the true figure.
        method: How it was made.
        clusters: How many images (or text-only questions) were drawn from.
        resamples: How often.
    """

    low: float
    high: float
    level: float
    method: str
    clusters: int
    resamples: int


def headline_intervals(
    scored: Scored, resamples: int, level: float = LEVEL, seed: int = SEED
) -> dict[str, Interval]:
    """Computes the interval of each headline figure.

    Args:
        scored: The run.
        resamples: How many draws; 0 for no intervals.
        level: The coverage.
        seed: Of the draws: the same seed gives the same intervals anywhere.

    Returns:
        Intervals by figure; none where there is but one image, or figures cannot be resampled.
    """
    if resamples < 1:
        return {}
    clusters = find_clusters(scored.evaluator, scored.samples)
    drawn = headline_draws(scored, resamples, clusters, seed)
    return {name: interval_of(values, clusters, level) for name, values in drawn.items()}


def interval_of(values: Array, clusters: Clusters, level: float = LEVEL) -> Interval:
    """Takes the percentiles of a figure's draws.

    Args:
        values: The figure in each draw.
        clusters: What was drawn from.
        level: The coverage.
    """
    tail = expanded_tail(clusters.freedom, level)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), level, METHOD, len(clusters), len(values))


def expanded_tail(freedom: int, level: float = LEVEL) -> float:
    """The percentile to cut at, which is (1 - level) / 2 for many clusters and less for few.

    A bootstrap of n clusters is too narrow by sqrt((n - 1) / n), and by normal instead of
    Student's quantiles. Source: Hesterberg, 2015, section 3.5 ("expanded percentile").
    """
    from scipy.special import ndtr, stdtrit

    if freedom < 1:
        return 0.0
    quantile = stdtrit(freedom, (1 - level) / 2)
    return float(ndtr(quantile * np.sqrt((freedom + 1) / freedom)))
