"""Figures of all arms: means over seeds, intervals over images, differences from the same draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.engine.ablation.jobs import Job
from collavo.engine.ablation.plan import Figure
from collavo.errors import DataError
from collavo.results.chosen import ChosenFigures
from collavo.results.clusters import Clusters, find_clusters
from collavo.results.report import Flags
from collavo.results.resampling import headline_draws
from collavo.results.rescored import dataset_at_hand
from collavo.results.scored import Scored
from collavo.results.statistics import Interval, interval_of
from collavo.results.stored_runs import StoredRun, read_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One figure of one arm.

    Args:
        seeds: The figure of each seed.
        unit: Its unit.
        draws: Its mean over the seeds in each draw of images (draws); None without intervals.
        clusters: What was drawn from.
    """

    seeds: Mapping[int, float]
    unit: str
    draws: Array | None = None
    clusters: Clusters | None = None

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(list(self.seeds.values())))

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over the seeds; None of one seed."""
        return float(np.std(list(self.seeds.values()), ddof=1)) if len(self.seeds) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """The interval of the mean, for these trainings and other images."""
        if self.draws is None or self.clusters is None:
            return None
        return interval_of(self.draws, self.clusters)


@dataclass(frozen=True)
class Gap:
    """How far a figure of one arm lies above that of another.

    Args:
        value: The difference of the means over seeds.
        interval: Of it, from the same draws for both; None without.
        agreeing: Seeds that both arms have and whose own difference has the sign of `value`.
        paired: Seeds that both arms have.
    """

    value: float
    interval: Interval | None
    agreeing: int
    paired: int

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True)
class Asked:
    """What was asked of a dataset.

    Args:
        samples: Questions.
        clusters: Images (or text-only questions).
        flags: Why its figures are not the benchmark's, in sentences.
    """

    samples: int
    clusters: int
    flags: tuple[str, ...]


@dataclass
class Measures:
    """Everything that the finished jobs give.

    Args:
        figures: By arm and figure.
        asked: By dataset.
        seconds: How long the steps of all stages ("train") and the evaluation ("eval") took, by arm
            and seed.
    """

    figures: dict[tuple[str, str], Measured] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    seconds: dict[tuple[str, int], Mapping[str, float]] = field(default_factory=dict)

    def gap(self, arm: str, reference: str, figure: str) -> Gap | None:
        """Compares two arms; None where one of them has no such figure, or they are one."""
        first, second = (self.figures.get((name, figure)) for name in (reference, arm))
        if first is None or second is None or arm == reference:
            return None
        value = second.mean - first.mean
        both = [s for s in second.seeds if s in first.seeds]
        signs = [np.sign(second.seeds[s] - first.seeds[s]) for s in both]
        interval = None
        if first.draws is not None and second.draws is not None and second.clusters is not None:
            count = min(len(first.draws), len(second.draws))  # the first draws are the same
            interval = interval_of(second.draws[:count] - first.draws[:count], second.clusters)
        agreeing = sum(bool(value) and bool(sign == np.sign(value)) for sign in signs)
        return Gap(value, interval, agreeing, len(both))


@dataclass(frozen=True)
class _Run:
    """The figures and draws of one job on one dataset, by term."""

    values: Mapping[str, float]
    units: Mapping[str, str]
    draws: Mapping[str, Array]


def measure(jobs: Sequence[Job], figures: Sequence[Figure], cfg: Any) -> Measures:
    """Reads the evaluations of finished jobs and computes every figure.

    All seeds and arms are resampled by the same draws of images.

    Args:
        jobs: Those that are not finished are left out.
        figures: What to compute.
        cfg: The configuration: where datasets are, EVAL.BOOTSTRAP.

    Raises:
        DataError: Evaluations of one dataset asked other questions, or there is no such figure.
    """
    found = Measures()
    bench: dict[str, _Bench] = {}
    runs: dict[tuple[str, str], dict[int, _Run]] = {}
    for job in jobs:
        if (done := job.done) is None:
            continue
        found.seconds[job.arm, job.seed] = {
            "train": sum(_seconds_of(stage.folder / "metrics.jsonl") for stage in job.stages),
            "eval": float(done["seconds"].get("eval", 0.0)),
        }
        stored = read_runs(job.runs)
        for dataset in dict.fromkeys(figure.dataset for figure in figures):
            if dataset not in stored:
                raise DataError(f"{job.words}: {job.runs} holds no evaluation on {dataset!r}")
            if dataset not in bench:
                terms = [t for f in figures if f.dataset == dataset for t in f.terms]
                bench[dataset] = _Bench(stored[dataset], list(dict.fromkeys(terms)), cfg)
            runs.setdefault((job.arm, dataset), {})[job.seed] = bench[dataset].run(
                job, stored[dataset]
            )
    for dataset, one in bench.items():
        found.asked[dataset] = one.asked
    for (arm, dataset), seeds in runs.items():
        for figure in figures:
            if figure.dataset == dataset:
                found.figures[arm, figure.name] = _join(figure, seeds, bench[dataset].clusters)
    return found


class _Bench:
    """One dataset, on which all evaluations have to be alike but for the answers."""

    def __init__(self, first: StoredRun, terms: list[str], cfg: Any) -> None:
        self._first, self._terms, self._resamples = first, terms, int(cfg.EVAL.BOOTSTRAP)
        self._dataset = dataset_at_hand(cfg, first)
        if self._dataset is not None and not self._dataset.holds(first.rows):
            raise DataError(
                f"{first.path} asked other questions than the {first.dataset!r} at hand: its files "
                "have changed since; run the ablation anew with --fresh"
            )
        self.clusters: Clusters | None = None
        if self._dataset is not None:
            samples = [s for s in self._dataset.samples if s.sample_id in first.rows]
            self.clusters = find_clusters(self._dataset.evaluator, samples)
        self._flags: dict[str, None] = {}

    @property
    def asked(self) -> Asked:
        """What all evaluations asked, with every flag that one of them has."""
        clusters = len(self.clusters) if self.clusters is not None else 0
        return Asked(len(self._first.rows), clusters, tuple(self._flags))

    def run(self, job: Job, stored: StoredRun) -> _Run:
        """Scores one evaluation and resamples it."""
        first = self._first
        self._flags.update(dict.fromkeys(_flags(stored)))
        failed = [i for i, row in stored.rows.items() if row.answer is None]
        if failed:
            raise DataError(
                f"{job.words}: {stored.path} has {len(failed)} questions without an answer, such "
                f"as {failed[0]}; arms are compared on the same questions"
            )
        if stored.rows.keys() != first.rows.keys() or stored.miniature != first.miniature:
            raise DataError(
                f"{job.words}: {stored.path} asked other questions of {first.dataset!r} than "
                f"{first.path} ({len(stored.rows)} and {len(first.rows)}); arms are compared on "
                "the same questions"
            )
        if self._dataset is None or self.clusters is None:
            return _stored(stored, self._terms)
        scored = self._dataset.score(stored.rows)
        chosen = ChosenFigures(self._dataset.evaluator, self._terms)
        evaluation = chosen.evaluate(scored.samples, scored.answers, scored.metadata)
        again = Scored(chosen, scored.samples, scored.answers, evaluation, scored.metadata)
        draws: Mapping[str, Array] = {}
        if self._resamples:
            draws = headline_draws(again, self._resamples, self.clusters)
        return _Run(evaluation.headline, evaluation.units, draws)


def _join(figure: Figure, seeds: Mapping[int, _Run], clusters: Clusters | None) -> Measured:
    """Adds the terms of a figure and takes the mean over the seeds."""
    values = {s: float(sum(run.values[t] for t in figure.terms)) for s, run in seeds.items()}
    units = {run.units.get(term, "") for run in seeds.values() for term in figure.terms}
    unit = units.pop() if len(units) == 1 else ""
    if len(figure.terms) > 1:
        unit = unit.partition(" of ")[0]  # a sum of points has more of them
    drawn = [run.draws[t] for run in seeds.values() for t in figure.terms if t in run.draws]
    if len(drawn) < len(seeds) * len(figure.terms):
        return Measured(values, unit, None, clusters)
    count = min(len(draws) for draws in drawn)
    # every seed has as many terms, so the sum over all is that of the seeds' sums
    total = np.sum([draws[:count] for draws in drawn], axis=0)
    return Measured(values, unit, total / len(seeds), clusters)


def _stored(stored: StoredRun, terms: Sequence[str]) -> _Run:
    """The figures as they were stored, without draws, where the dataset is not at hand."""
    values = {}
    for term in terms:
        node: Any = {**(stored.results.get("scores") or {}), **stored.headline}
        for part in [term] if term in node else term.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if not isinstance(node, (int, float)):
            raise DataError(f"{stored.path} holds no figure {term!r}")
        values[term] = float(node)
    return _Run(values, stored.results.get("units") or {}, {})


def _seconds_of(metrics: Path) -> float:
    """The time of a training's steps; of one that was taken twice after a crash the last."""
    if not metrics.is_file():
        return 0.0
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines() if line]
    return sum({row["step"]: float(row.get("seconds", 0.0)) for row in rows}.values())


def _flags(stored: StoredRun) -> tuple[str, ...]:
    given = stored.results.get("flags") or {}
    return tuple(Flags(**{k: bool(v) for k, v in given.items()}).sentences())
