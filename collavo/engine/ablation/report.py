"""Words an ablation: tables for the terminal, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from collavo.datasets.evaluation.base import Table
from collavo.engine.ablation.measures import Gap, Measured, Measures
from collavo.engine.ablation.plan import Comparison, Figure, Plan
from collavo.engine.ablation.runner import Failure
from collavo.results.files import markdown_table
from collavo.results.statistics import Interval

CLEAR = "*"
"""Stands after a difference whose interval does not hold 0."""

_READING = (
    "Figures are means over the seeds (trainings) of an arm. Brackets hold the 95 % interval of a "
    "bootstrap that draws images with all their questions; every seed and arm is scored on the "
    "same draws, so the intervals of differences are paired. They tell what hangs on the images "
    "asked about, not on the training: that is what the spread over seeds tells.",
    f"`{CLEAR}` marks a difference whose interval does not hold 0; after it stands how many seeds "
    "differ in the same direction by themselves. Nothing is corrected for the number of "
    "comparisons.",
)


@dataclass(frozen=True)
class AblationReport:
    """An ablation and what came out of it.

    Args:
        plan: The plan.
        arms: The arms that were asked for.
        seeds: The seeds that were asked for.
        measures: What came out.
        failures: Jobs that failed in this launch.
        command: How it was made.
    """

    plan: Plan
    arms: Sequence[str]
    seeds: Sequence[int]
    measures: Measures
    failures: Sequence[Failure] = ()
    command: str = ""

    def sections(self) -> list[tuple[str, list[Table]]]:
        """Returns headings with their tables: a comparison each, then times and failures."""
        found: list[tuple[str, list[Table]]] = []
        for comparison in self.plan.tables:
            arms = [name for name in comparison.arms if self._seeds_of(name)]
            if arms:
                found.append((comparison.title, self._comparison(comparison, arms)))
        found += [("Time", self._times()), ("Failed", self._failed())]
        return [(heading, tables) for heading, tables in found if tables]

    def notes(self) -> list[str]:
        """Says what was asked, and what is missing."""
        notes = []
        for name, asked in self.measures.asked.items():
            images = f" on {asked.clusters} images" if asked.clusters else ""
            flags = "".join(f" {flag.capitalize()}." for flag in asked.flags)
            notes.append(f"{name}: {asked.samples} questions{images}.{flags}")
        for arm in self.arms:
            missing = [s for s in self.seeds if (arm, s) not in self.measures.seconds]
            if missing:
                seeds = ", ".join(map(str, missing))
                notes.append(f"Not finished: {arm}, seed {seeds}.")
        return notes

    def markdown(self) -> str:
        """Words the report as Markdown."""
        lines = [f"# {self.plan.title}", ""]
        if self.plan.about:
            lines += [self.plan.about, ""]
        if self.command:
            lines += ["```", self.command, "```", ""]
        lines += [f"- {note}" for note in (*_READING, *self.notes())] + [""]
        for heading, tables in self.sections():
            lines += [f"## {heading}", ""]
            for table in tables:
                lines += [f"{table.title}:", ""] + markdown_table(table.columns, table.rows)
        return "\n".join(lines).rstrip() + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Returns what JSON holds."""
        return {
            "title": self.plan.title,
            "command": self.command,
            "seeds": list(self.seeds),
            "datasets": {name: asdict(asked) for name, asked in self.measures.asked.items()},
            "figures": {
                name: {"label": x.label, "dataset": x.dataset, "terms": list(x.terms)}
                for name, x in self.plan.figures.items()
            },
            "arms": {name: self._arm_dict(name) for name in self.arms},
            "comparisons": [self._comparison_dict(x) for x in self.plan.tables],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def _comparison(self, comparison: Comparison, arms: Sequence[str]) -> list[Table]:
        """Figures, differences, spread, and the paper's differences beside ours."""
        figures = [self.plan.figures[name] for name in comparison.figures]
        columns = ("arm", *(self._heading(figure) for figure in figures))
        reference = comparison.reference if self._seeds_of(comparison.reference) else ""
        found = [Table("Figures", columns, self._rows(arms, figures, _value))]
        others = [name for name in arms if name != reference]
        if reference and others:
            label = self.plan.arms[reference].label
            rows = self._rows(others, figures, lambda m, gap: _gap(gap, m.unit), reference)
            found.append(Table(f"Difference to “{label}”", columns, rows))
        if any(len(self._seeds_of(name)) > 1 for name in arms):
            title = "Standard deviation over seeds (lowest to highest)"
            found.append(Table(title, columns, self._rows(arms, figures, _spread)))
        found += self._paper(comparison, figures, others if reference else arms, reference)
        return found

    def _rows(
        self, arms: Sequence[str], figures: Sequence[Figure], word: Any, reference: str = ""
    ) -> list[list[str | float | int | None]]:
        rows: list[list[str | float | int | None]] = []
        for arm in arms:
            row: list[str | float | int | None] = [self.plan.arms[arm].label]
            for figure in figures:
                measured = self.measures.figures.get((arm, figure.name))
                gap = self.measures.gap(arm, reference, figure.name) if reference else None
                row.append(word(measured, gap) if measured is not None else "-")
            rows.append(row)
        return rows

    def _paper(
        self,
        comparison: Comparison,
        figures: Sequence[Figure],
        arms: Sequence[str],
        reference: str,
    ) -> list[Table]:
        base = self.plan.arms[reference].paper if reference else {}
        rows: list[list[str | float | int | None]] = []
        for arm in arms:
            for figure in figures:
                published = self.plan.arms[arm].paper.get(figure.name)
                measured = self.measures.figures.get((arm, figure.name))
                if published is None or measured is None:
                    continue
                gap = self.measures.gap(arm, reference, figure.name) if reference else None
                theirs = published - base[figure.name] if figure.name in base else None
                rows.append(
                    [
                        *(self.plan.arms[arm].label, figure.label, f"{published:g}"),
                        "-" if theirs is None else f"{theirs:+.4g}",
                        "-" if gap is None else _signed(gap.value, measured.unit),
                        _verdict(theirs, gap),
                    ]
                )
        if not rows:
            return []
        source = f" ({comparison.source})" if comparison.source else ""
        title = f"The paper's figures{source} beside ours"
        columns = ("arm", "figure", "paper", "paper's difference", "our difference", "direction")
        return [Table(title, columns, rows)]

    def _times(self) -> list[Table]:
        rows: list[list[str | float | int | None]] = []
        for arm in self.arms:
            taken = [self.measures.seconds[arm, s] for s in self._seeds_of(arm)]
            if taken:
                train, test = (
                    sum(x[k] for x in taken) / len(taken) / 60 for k in ("train", "eval")
                )
                trains = bool(self.plan.arms[arm].stages)
                minutes = f"{train:.1f}" if trains else "-"
                rows.append([self.plan.arms[arm].label, len(taken), minutes, f"{test:.1f}"])
        columns = ("arm", "seeds", "training", "evaluation")
        title = "Minutes a seed, of the steps of all stages and of the evaluation"
        return [Table(title, columns, rows)] if rows else []

    def _failed(self) -> list[Table]:
        rows: list[list[str | float | int | None]] = [
            [x.arm, x.seed, x.step, x.code, " / ".join(x.words)] for x in self.failures
        ]
        columns = ("arm", "seed", "failed in", "exit code", "last words")
        return [Table("In the last launch", columns, rows)] if rows else []

    def _heading(self, figure: Figure) -> str:
        units = {
            self.measures.figures[arm, figure.name].unit
            for arm in self.plan.arms
            if (arm, figure.name) in self.measures.figures
        }
        unit = units.pop() if len(units) == 1 else ""
        return f"{figure.label} ({unit})" if unit else figure.label

    def _seeds_of(self, arm: str) -> list[int]:
        return [seed for name, seed in self.measures.seconds if name == arm]

    def _arm_dict(self, arm: str) -> dict[str, Any]:
        figures = {}
        for name in self.plan.figures:
            if (measured := self.measures.figures.get((arm, name))) is not None:
                figures[name] = {
                    "mean": measured.mean,
                    "unit": measured.unit,
                    "interval": _interval_dict(measured.interval),
                    "standard_deviation": measured.deviation,
                    "seeds": dict(measured.seeds),
                    "paper": self.plan.arms[arm].paper.get(name),
                }
        seconds = {s: dict(self.measures.seconds[arm, s]) for s in self._seeds_of(arm)}
        return {"label": self.plan.arms[arm].label, "figures": figures, "seconds": seconds}

    def _comparison_dict(self, comparison: Comparison) -> dict[str, Any]:
        differences: dict[str, dict[str, Any]] = {}
        for arm in comparison.arms:
            for figure in comparison.figures:
                gap = self.measures.gap(arm, comparison.reference, figure)
                if gap is not None:
                    found = asdict(gap) | {"is_clear": gap.is_clear}
                    differences.setdefault(arm, {})[figure] = found
        return {
            "title": comparison.title,
            "arms": list(comparison.arms),
            "reference": comparison.reference,
            "differences": differences,
        }


def _number(value: float, unit: str) -> str:
    return f"{value:.3f}" if unit == "fraction" else f"{value:.1f}"


def _signed(value: float, unit: str) -> str:
    return f"{value:+.3f}" if unit == "fraction" else f"{value:+.1f}"


def _value(measured: Measured, _: Gap | None) -> str:
    found, unit = measured.interval, measured.unit
    words = _number(measured.mean, unit)
    if found is not None:
        words += f" [{_number(found.low, unit)}, {_number(found.high, unit)}]"
    return words


def _gap(gap: Gap | None, unit: str) -> str:
    if gap is None:
        return "-"
    words = _signed(gap.value, unit)
    if gap.interval is not None:
        words += f" [{_signed(gap.interval.low, unit)}, {_signed(gap.interval.high, unit)}]"
    words += CLEAR if gap.is_clear else ""
    return f"{words} {gap.agreeing}/{gap.paired}"


def _spread(measured: Measured, _: Gap | None) -> str:
    values, unit = measured.seeds.values(), measured.unit
    if measured.deviation is None:
        return "-"
    ends = f"{_number(min(values), unit)} to {_number(max(values), unit)}"
    return f"{_number(measured.deviation, unit)} ({ends})"


def _verdict(theirs: float | None, ours: Gap | None) -> str:
    if theirs is None or ours is None or theirs == 0:
        return "-"
    if not ours.is_clear:
        return "not clear here"
    return "as in the paper" if (theirs > 0) == (ours.value > 0) else "against the paper"


def _interval_dict(interval: Interval | None) -> Mapping[str, Any] | None:
    return asdict(interval) if interval is not None else None
