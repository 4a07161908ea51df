"""The report of a run: scores, counts and flags as one object that JSON holds."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from collavo.results.units import shown, shown_interval, shown_table, shown_unit

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluation, Table
    from collavo.results.statistics import Interval

PACKAGES = ("torch", "transformers", "accelerate", "bitsandbytes", "peft", "numpy", "pillow")

INTERVAL = "95 % interval"
"""The column of confidence intervals."""

PUBLISHED = (
    *("model", "figure", "published", "ours", "difference", "unit", "same metric, parser"),
    "source",
)
"""The columns of published figures beside ours."""


@dataclass(frozen=True)
class Flags:
    """Why the figures of a run are not the benchmark's.

    Args:
        miniature: The dataset is the built-in miniature of it.
        untrained: The model's (or segmenter's) weights are random.
        subset: Only part of the dataset was asked.
        failures: Some samples failed and were left out.
        builtin_model: The built-in tiny model answered.
        repeats_references: Every answer is its reference to the letter, as a file is where the
            references were read for the answers.
        repeats_questions: Every answer is its question.
    """

    miniature: bool = False
    untrained: bool = False
    subset: bool = False
    failures: bool = False
    builtin_model: bool = False
    repeats_references: bool = False
    repeats_questions: bool = False

    @property
    def names(self) -> list[str]:
        """The flags that are set."""
        return [name for name, given in asdict(self).items() if given]

    def sentences(self) -> list[str]:
        """Words each flag for the reader."""
        told = {
            "miniature": "the built-in miniature of the dataset, not the benchmark itself",
            "untrained": "the weights are random and the answers mean nothing",
            "subset": "part of the dataset only: not a score of the benchmark",
            "failures": "failed samples are left out of the scores",
            "builtin_model": "the built-in tiny model, which knows only its own drawn scenes",
            "repeats_references": "every answer is its reference to the letter",
            "repeats_questions": "every answer is its question",
        }
        return [f"{name}: {told[name]}" for name in self.names]

    @property
    def comparable(self) -> bool:
        """Whether the figures may stand beside published ones."""
        return not self.names


@dataclass(frozen=True)
class Counts:
    """How many samples there are of each kind; `answered + failed` must be `expected`."""

    expected: int
    answered: int
    failed: int

    @property
    def complete(self) -> bool:
        """Whether every sample was answered or recorded as failed."""
        return self.answered + self.failed == self.expected


@dataclass(frozen=True)
class Report:
    """All that is known of a finished run on one dataset.

    Args:
        dataset: Its name.
        counts: Samples by outcome.
        flags: Why the figures are not the benchmark's.
        evaluation: The scores; None where too many samples failed.
        tables: Further tables of the evaluator.
        failures: (sample id, error) of each failed sample.
        published: The dataset's published figures: model, metric, value, unit, source.
        parser: The rule that read the answers.
        about: Fingerprint, configuration, timings, memory and other facts of the run.
        intervals: The confidence interval of each headline figure that has one.
        data_notes: What the reading of the dataset, or of answers, left aside, in sentences.
    """

    dataset: str
    counts: Counts
    flags: Flags
    evaluation: Evaluation | None = None
    tables: Sequence[Table] = ()
    failures: Sequence[tuple[str, str]] = ()
    published: Sequence[Mapping[str, Any]] = ()
    parser: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    data_notes: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        """Sentences for the reader: about the data, then about the scores."""
        return [*self.data_notes, *(self.evaluation.notes if self.evaluation else ())]

    def headline_rows(self) -> list[tuple[str, float, str, str]]:
        """Lists the headline as tables show it: figure, value, unit, interval ("" for none)."""
        if self.evaluation is None:
            return []
        units = self.evaluation.units
        return [
            (
                name,
                shown(value, units.get(name, "")),
                shown_unit(units.get(name, "")),
                shown_interval(self.intervals.get(name), units.get(name, "")),
            )
            for name, value in self.evaluation.headline.items()
        ]

    def model_line(self) -> str:
        """Names model, weights and segmenter in one line; "" where no model is known (`score`)."""
        named = self.about.get("model")
        if not isinstance(named, Mapping):
            return ""
        parts = [
            f"{what}: {named[key]}{f' ({weights})' if (weights := named[f'{end}weights']) else ''}"
            for what, key, end in (("model", "name", ""), ("segmenter", "segmenter", "segmenter_"))
        ]
        return ", ".join(parts)

    def shown_tables(self) -> list[tuple[str, list[str], list[list[Any]]]]:
        """Lists the evaluator's tables as they are shown: title, columns, rows."""
        units = self.evaluation.units if self.evaluation is not None else {}
        return [(t.title, *shown_table(t.columns, t.rows, units)) for t in self.tables]

    def published_rows(self) -> list[tuple[Any, ...]]:
        """Lists the published figures beside ours as tables show them, see `PUBLISHED`."""
        rows: list[tuple[Any, ...]] = []
        for row in self.comparison():
            if row["ours"] is None:
                same = "not computed"
            elif not self.flags.comparable:
                same = "not comparable"
            else:
                same = "yes" if row["same"] else "no"
            theirs, unit = row["unit"], self.unit(row["metric"])
            rows.append(
                (
                    *(row["model"], row["metric"], shown(row["published"], theirs)),
                    *(shown(row["ours"], unit), shown(row["difference"], unit)),
                    *(shown_unit(theirs or unit), same, row["source"]),
                )
            )
        return rows

    def reuse_note(self) -> str:
        """Says why less was shared between questions than asked; "" where all of it was."""
        reuse = self.about.get("reuse")
        if not isinstance(reuse, Mapping) or reuse["level"] == reuse["asked"]:
            return ""
        return f"Reuse: {reuse['level']}, {reuse['asked']} asked: {reuse['reason']}."

    def interval_note(self) -> str:
        """Says how the intervals were made, and which of them say nothing; "" without any."""
        if not self.intervals:
            return ""
        first = next(iter(self.intervals.values()))
        note = f"Intervals: {first.level:.0%}, {first.method} ({first.clusters})."
        flat = [name for name, x in self.intervals.items() if x.low == x.high]
        if flat:
            note += f" No spread between images in {', '.join(flat)}: that interval says nothing."
        return note

    def comparison(self) -> list[dict[str, Any]]:
        """Sets the published figures beside ours.

        Returns:
            Rows of model, metric, published, unit, ours (None where we have no such figure),
            difference (ours - published, None where the two are not comparable), same (metric,
            unit and parser are the same and no flag stands against it), source. No row where the
            built-in tiny model answered: it is nobody's to compare.
        """
        if self.flags.builtin_model:
            return []
        return [self._beside(row) for row in self.published]

    def _beside(self, row: Mapping[str, Any]) -> dict[str, Any]:
        metric, value = str(row.get("metric", "")), row.get("value")
        ours = self.figure(metric)
        unit = self.unit(metric)
        parser = row.get("parser", "")
        same = ours is not None and self.flags.comparable
        same = same and (not parser or parser == self.parser)
        if row.get("unit") and unit:
            same = same and row["unit"] == unit
        difference = None
        if same and ours is not None and isinstance(value, (int, float)):
            difference = ours - value
        return {
            "model": row.get("model", ""),
            "metric": metric,
            "published": value,
            "unit": row.get("unit") or unit,
            "ours": ours,
            "difference": difference,
            "same": same,
            "source": row.get("source", ""),
        }

    def figure(self, metric: str) -> float | None:
        """Finds one of our figures by its name, or by its path ("random.f1")."""
        return None if self.evaluation is None else figure_of(self.evaluation, metric)

    def unit(self, metric: str) -> str:
        """Returns the unit of a figure, "" where none is named."""
        return "" if self.evaluation is None else unit_of(self.evaluation, metric)

    def as_dict(self) -> dict[str, Any]:
        """Returns what results.json holds."""
        scored = self.evaluation
        return {
            "dataset": self.dataset,
            "headline": dict(scored.headline) if scored else None,
            "intervals": {name: asdict(x) for name, x in self.intervals.items()},
            "units": dict(scored.units) if scored else {},
            "scores": scored.scores if scored else None,
            "counts": {
                "expected": self.counts.expected,
                "answered": self.counts.answered,
                "failed": self.counts.failed,
            },
            "flags": asdict(self.flags),
            "notes": self.notes,
            "failed": [{"sample_id": i, "error": e} for i, e in self.failures],
            "parser": self.parser,
            "published": self.comparison(),
            "tables": [
                {"title": t.title, "columns": list(t.columns), "rows": [list(r) for r in t.rows]}
                for t in self.tables
            ],
            **self.about,
        }


def figure_of(evaluation: Evaluation, metric: str) -> float | None:
    """Finds a figure by its name in the headline, or by its path in the scores ("random.f1")."""
    if metric in evaluation.headline:
        return float(evaluation.headline[metric])
    node: Any = evaluation.scores
    for part in metric.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return float(node) if isinstance(node, (int, float)) else None


def unit_of(evaluation: Evaluation, metric: str) -> str:
    """Returns the unit of a figure, "" where none is named."""
    units = evaluation.units
    return units.get(metric) or units.get(metric.rsplit(".", 1)[-1], "")


def nearest_figures(evaluation: Evaluation, metric: str) -> list[str]:
    """Lists the figures below the path `metric`, else at most three that are like it."""
    paths = [k for k, v in flatten(evaluation.scores) if isinstance(v, (int, float))]
    names = list(dict.fromkeys([*evaluation.headline, *paths]))
    below = [name for name in names if name.startswith(f"{metric}.")]
    return below or difflib.get_close_matches(metric, names, n=3, cutoff=0.5)


def versions() -> dict[str, str]:
    """Returns the versions of what took part, without importing it."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("collavo", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if "collavo" not in found:
        import collavo

        found["collavo"] = collavo.__version__
    return found


def flatten(scores: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Lists nested scores as (path, figure)."""
    rows: list[tuple[str, Any]] = []
    for key, value in scores.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            rows += flatten(value, path)
        else:
            rows.append((path, value))
    return rows
