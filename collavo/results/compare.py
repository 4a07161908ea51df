"""Two runs on one dataset, sample by sample: differences with intervals, tests, what flipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from collavo.errors import DataError
from collavo.records import Sample
from collavo.results.clusters import Clusters, find_clusters
from collavo.results.comparison import SCORE, Comparison, Difference, Flip
from collavo.results.pairing import check_pair, settings_that_differ
from collavo.results.resampling import SEED, headline_draws, tally_draws
from collavo.results.rescored import Dataset
from collavo.results.significance import McNemar, holm, mcnemar, sign_flip_p
from collavo.results.statistics import interval_of
from collavo.results.stored_runs import StoredRow, StoredRun

OTHER_FILES = "The dataset at hand does not hold these questions: its files are of another version."


def compare_runs(
    first: StoredRun,
    second: StoredRun,
    dataset: Dataset | None,
    resamples: int,
    partial: bool = False,
) -> Comparison:
    """Compares two runs on one dataset.

    Args:
        first: The one to compare with.
        second: The other; positive differences say that it is better.
        dataset: To score headline figures anew in each draw; None where it is not at hand.
        resamples: Draws of images for the intervals.
        partial: Compare the samples that both have, where one has more.

    Raises:
        DataError: The runs are on different datasets or ask different questions.
    """
    notes = list(check_pair(first, second, partial))
    ids = [
        i for i, row in first.rows.items()
        if i in second.rows and row.answer is not None and second.rows[i].answer is not None
    ]  # fmt: skip
    unanswered = len(first.rows.keys() & second.rows.keys()) - len(ids)
    if unanswered:
        notes.append(f"{unanswered} samples that failed in a run are left out.")
    if not ids:
        raise DataError(f"{first.path} and {second.path} have no answered sample in common")
    a, b = ({i: run.rows[i] for i in ids} for run in (first, second))
    headline, clusters, told = _headline(first, second, a, b, dataset, resamples)
    figures = [*headline, *_mean_score(a, b, clusters, resamples)]
    moved = _moved(a, b, clusters)
    flips = _flips(a, b)
    return Comparison(
        dataset=first.dataset,
        samples=len(ids),
        clusters=len(clusters),
        figures=figures,
        test=_mcnemar(a, b),
        p=sign_flip_p(moved) if moved is not None else None,
        fixed=[flip for flip in flips if flip.change > 0],
        broken=[flip for flip in flips if flip.change < 0],
        changed=sum(a[i].answer != b[i].answer for i in ids),
        settings=settings_that_differ(first, second),
        notes=[*notes, *told],
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adds Holm's p-values over all compared datasets."""
    found: list[dict[str, float]] = [{} for _ in comparisons]
    for name in ("mcnemar", "sign_flip"):
        p_values = [
            (k, x.p if name == "sign_flip" else x.test.p if x.test else None)
            for k, x in enumerate(comparisons)
        ]
        known = [(k, p) for k, p in p_values if p is not None]
        for (k, _), p in zip(known, holm([p for _, p in known]), strict=True):
            found[k][name] = p
    return [replace(x, corrected=p) for x, p in zip(comparisons, found, strict=True)]


def _headline(
    first: StoredRun,
    second: StoredRun,
    a: Mapping[str, StoredRow],
    b: Mapping[str, StoredRow],
    dataset: Dataset | None,
    resamples: int,
) -> tuple[list[Difference], Clusters, list[str]]:
    """The headline figures of both runs, from the same samples, and the clusters of these."""
    if dataset is None or not dataset.holds(a):
        clusters = find_clusters(_Plain(), [_as_sample(row) for row in a.values()])
        units = first.results.get("units") or {}
        figures = [
            Difference(name, units.get(name, ""), value, second.headline[name])
            for name, value in first.headline.items()
            if name in second.headline
        ]
        why = [] if dataset is None else [OTHER_FILES]
        if figures:
            why.append("Headline figures are the stored ones; intervals need the dataset itself.")
        return figures, clusters, why
    runs = [dataset.score(rows) for rows in (a, b)]
    samples = runs[0].samples
    clusters = find_clusters(dataset.evaluator, samples)
    draws = [headline_draws(run, resamples, clusters) if resamples else {} for run in runs]
    units = runs[0].evaluation.units
    figures = []
    for name, value in runs[0].evaluation.headline.items():
        other = runs[1].evaluation.headline.get(name)
        if other is None:
            continue
        drawn = [d[name] for d in draws if name in d]
        interval = None
        if len(drawn) == 2:
            count = min(len(drawn[0]), len(drawn[1]))  # the first draws are the same
            interval = interval_of(drawn[1][:count] - drawn[0][:count], clusters)
        figures.append(Difference(name, units.get(name, ""), float(value), float(other), interval))
    notes = []
    for run, stored in zip(runs, (first, second), strict=True):
        now = run.evaluation.headline
        if len(samples) == len(stored.rows) and any(
            name in now and not np.isclose(now[name], value, rtol=1e-9)
            for name, value in stored.headline.items()
        ):
            notes.append(f"Scored anew, {stored.path} differs from its stored figures.")
    return figures, clusters, notes


class _Plain:
    """Stands for the evaluator where the dataset is not at hand: images are all that is known."""

    def together(self, sample: Sample) -> str:
        return ""

    def stratum(self, sample: Sample) -> str:
        return ""


def _as_sample(row: StoredRow) -> Sample:
    return Sample(
        row.sample_id, (), row.question, row.sample_id, category="", extra={"image": row.image}
    )


def _changes(a: Mapping[str, StoredRow], b: Mapping[str, StoredRow]) -> dict[str, float]:
    """Second minus first score of each sample that both runs have a score of."""
    return {
        i: float(b[i].correct or 0) - float(a[i].correct or 0)
        for i in a
        if a[i].scored and b[i].scored
    }


def _mean_score(
    a: Mapping[str, StoredRow],
    b: Mapping[str, StoredRow],
    clusters: Clusters,
    resamples: int,
) -> list[Difference]:
    from collavo.datasets.evaluation.tally import mean_tally

    changes = _changes(a, b)
    if not changes:
        return []
    means = [float(np.mean([float(rows[i].correct or 0) for i in changes])) for rows in (a, b)]
    interval = None
    if resamples and len(clusters) > 1:
        drawn = tally_draws(mean_tally({SCORE: (1.0, changes)}), clusters, resamples, SEED)
        interval = interval_of(drawn[SCORE], clusters)
    return [Difference(SCORE, "fraction", means[0], means[1], interval)]


def _moved(
    a: Mapping[str, StoredRow], b: Mapping[str, StoredRow], clusters: Clusters
) -> np.ndarray | None:
    changes = _changes(a, b)
    if not changes:
        return None
    moved = np.zeros(len(clusters))
    for sample_id, change in changes.items():
        moved[clusters.of[sample_id]] += change
    return moved


def _mcnemar(a: Mapping[str, StoredRow], b: Mapping[str, StoredRow]) -> McNemar | None:
    changes = _changes(a, b)
    scores = {float(rows[i].correct or 0) for rows in (a, b) for i in changes}
    if not changes or not scores <= {0.0, 1.0}:
        return None
    return mcnemar(
        broken=sum(x < 0 for x in changes.values()), fixed=sum(x > 0 for x in changes.values())
    )


def _flips(a: Mapping[str, StoredRow], b: Mapping[str, StoredRow]) -> list[Flip]:
    """The samples whose score changed, the greatest changes first."""
    found = [
        Flip(
            i, a[i].question, a[i].image, a[i].reference, a[i].answer, b[i].answer, round(change, 9)
        )
        for i, change in _changes(a, b).items()
        if change
    ]
    return sorted(found, key=lambda flip: -abs(flip.change))
