"""Draws of clusters, and the headline figures of each draw."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.datasets.evaluation.tally import Tally
from collavo.records import Sample
from collavo.results.clusters import Clusters, find_clusters
from collavo.results.linear import linear_tallies, same_figure
from collavo.results.scored import REFUSALS, Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

SEED = 20240217
"""Of every draw: two runs on one dataset draw the same images."""

CHUNK = 64
"""Draws made at once; the first draws are the same whatever their number."""

SCORED_ANEW = (100, 300_000)
"""Where each draw is scored anew: draws at least, and about how many samples are scored in all."""


def draw_weights(clusters: Clusters, draws: int, seed: int = SEED) -> Iterator[Array]:
    """Yields how often each cluster is drawn, with replacement within strata: (<= CHUNK, clusters).

    Args:
        clusters: What to draw from.
        draws: How many draws in all.
        seed: Of the generator.
    """
    generator = np.random.default_rng(seed)
    count = len(clusters)
    for start in range(0, draws, CHUNK):
        weights = np.zeros((CHUNK, count))
        for members in clusters.strata:
            drawn = generator.integers(0, len(members), (CHUNK, len(members)))
            flat = (drawn + np.arange(CHUNK)[:, None] * len(members)).ravel()
            counts = np.bincount(flat, minlength=CHUNK * len(members))
            weights[:, members] = counts.reshape(CHUNK, len(members))
        yield weights[: min(CHUNK, draws - start)]


def headline_draws(
    scored: Scored, draws: int, clusters: Clusters | None = None, seed: int = SEED
) -> dict[str, Array]:
    """Computes each headline figure of each draw of clusters.

    Args:
        scored: The run.
        draws: How many draws. Fewer are made for figures that must be scored anew each time.
        clusters: By default those of the run's samples.
        seed: Of the generator.

    Returns:
        The figures (draws), by name; a figure that cannot be resampled is left out.
    """
    clusters = clusters or find_clusters(scored.evaluator, scored.samples)
    wanted = {k: v for k, v in scored.evaluation.headline.items() if isinstance(v, (int, float))}
    if len(clusters) < 2 or not wanted:
        return {}
    found: dict[str, Array] = {}
    tallies = [_checked(tally, scored) for tally in (_own_tally(scored),) if tally is not None]
    named = {name for _, names in tallies for name in names}
    tallies += linear_tallies(scored, clusters, [n for n in wanted if n not in named])
    for tally, names in tallies:
        values = tally_draws(tally, clusters, draws, seed)
        found |= {name: values[name] for name in names}
    missing = [name for name in wanted if name not in found]
    if missing:
        low, most = SCORED_ANEW
        fewer = min(draws, max(low, most // len(scored.samples)))
        found |= scored_anew(scored, clusters, fewer, missing, seed)
    return {name: found[name] for name in wanted if name in found}


def tally_draws(tally: Tally, clusters: Clusters, draws: int, seed: int = SEED) -> dict[str, Array]:
    """Computes the figures of a tally for each draw."""
    sums = np.zeros((len(clusters), tally.rows.shape[1]))
    np.add.at(sums, [clusters.of[i] for i in tally.ids], tally.rows)
    # einsum, not a matrix product: its sums do not depend on the number of threads.
    drawn = [np.einsum("rc,ck->rk", w, sums) for w in draw_weights(clusters, draws, seed)]
    return {k: np.asarray(v) for k, v in tally.headline(np.concatenate(drawn)).items()}


def scored_anew(
    scored: Scored, clusters: Clusters, draws: int, names: Sequence[str], seed: int = SEED
) -> dict[str, Array]:
    """Scores each draw as a dataset of its own, where an image drawn twice counts as two images.

    Returns:
        The figures (draws), by name; none where copies do not score as the originals do, or where
        a language model would have to judge the copies.
    """
    if scored.evaluator.judge is not None:
        return {}
    again = _Copies(scored, clusters)
    first = again.figures(np.full(len(clusters), 1), names, start=1)
    same = [n for n in names if _equal(first.get(n), scored.evaluation.headline[n])]
    found: dict[str, list[float]] = {name: [] for name in same}
    for weights in draw_weights(clusters, draws if same else 0, seed):
        for row in weights.astype(np.int64):
            figures = again.figures(row, same)
            for name in same:
                found[name].append(float(figures.get(name, np.nan)))
    return {name: np.array(v) for name, v in found.items() if np.isfinite(v).all()}


class _Copies:
    """The samples of each cluster, as often as a draw holds them."""

    def __init__(self, scored: Scored, clusters: Clusters) -> None:
        evaluator = copy.copy(scored.evaluator)
        self._judged = dict(evaluator.judged)
        evaluator.judged = self._judged
        self._scored = replace(scored, evaluator=evaluator)
        self._answers = dict(scored.answers)
        self._copies: dict[tuple[int, int], Sample] = {}
        self._where = np.array([clusters.of[s.sample_id] for s in scored.samples])

    def figures(
        self, weights: NDArray[np.int64], names: Sequence[str], start: int = 0
    ) -> Mapping[str, float]:
        """Scores a draw: `weights` copies of each cluster, numbered from `start`."""
        times = weights[self._where]
        samples = [
            self._copy(int(place), number)
            for number in range(start, start + int(weights.max()))
            for place in np.flatnonzero(times > number - start)
        ]
        found = self._scored.headline_of(samples, self._answers)
        return {name: found[name] for name in names if name in found}

    def _copy(self, place: int, number: int) -> Sample:
        sample = self._scored.samples[place]
        if number == 0:
            return sample
        if (place, number) not in self._copies:
            made = self._scored.evaluator.copy_of(sample, number)
            self._copies[place, number] = made
            self._answers[made.sample_id] = self._scored.answers[sample.sample_id]
            if sample.sample_id in self._judged:
                self._judged[made.sample_id] = self._judged[sample.sample_id]
        return self._copies[place, number]


def _own_tally(scored: Scored) -> Tally | None:
    try:
        return scored.evaluator.tally(scored.samples, scored.answers, scored.evaluation)
    except REFUSALS as error:
        logger.warning("%s: no tally: %r", type(scored.evaluator).__name__, error)
        return None


def _checked(tally: Tally, scored: Scored) -> tuple[Tally, list[str]]:
    """Keeps the figures of a tally that are the evaluation's own."""
    whole = tally.headline(tally.rows.sum(0)) if len(tally.ids) else {}
    wanted = scored.evaluation.headline
    good = [n for n in whole if n in wanted and same_figure(float(whole[n]), wanted[n])]
    wrong = [name for name in whole if name in wanted and name not in good]
    if wrong:
        logger.warning("%s: its tally does not give %s", type(scored.evaluator).__name__, wrong)
    return tally, good


def _equal(first: Any, second: Any) -> bool:
    return first is not None and bool(np.isclose(first, second, rtol=1e-9, atol=1e-12))
