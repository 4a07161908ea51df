"""POPE's scores (Li et al., 2023, arXiv:2305.10355)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.pope_objects import object_table
from collavo.datasets.evaluation.tally import Tally, confusion_figures, mean_of_present
from collavo.datasets.evaluation.yes_no import Confusion, mean
from collavo.records import Sample
from collavo.registry import EVALUATORS

if TYPE_CHECKING:
    from collavo.datasets.evaluation.tally import Array

SPLITS = ("random", "popular", "adversarial")
_COLUMNS = ("accuracy", "precision", "recall", "f1", "yes_ratio")

WHICH_NUMBER = (
    "mean_accuracy is the figure that CoLLaVO's paper quotes, mean_f1 the one that LLaVA-1.5's "
    "quotes; both are means over the three splits."
)


@EVALUATORS.register("pope")
class PopeEvaluator(Evaluator):
    """POPE: accuracy, precision, recall, F1 and yes ratio per split, means over the splits.

    Fractions, as the authors print them. A ratio without a denominator is 0, where the authors'
    script stops. Source: AoiDragon/POPE evaluate.py.
    """

    family = "pope"
    one_reference = True

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        parser = parser_of("pope", self.parser)
        splits = _by_split(pairs, parser)
        headline = _headline(splits)
        scores: dict[str, Any] = {name: counts.figures() for name, counts in splits.items()}
        scores |= headline | _pooled(splits)
        scores["parsers"] = {
            name: _headline(other) | _pooled(other)
            for name in parser_names("pope")
            for other in [_by_split(pairs, parser_of("pope", name))]
        }
        return Evaluation(
            scores=scores,
            headline=headline,
            units=dict.fromkeys((*headline, *_COLUMNS), "fraction"),
            per_sample={sample.sample_id: _judged(sample, text, parser) for sample, text in pairs},
            notes=_notes(samples, splits, self.parser),
            tables=[_table(splits, headline)],
        )

    def analyse(
        self,
        samples: Sequence[Sample],
        evaluation: Evaluation,
        crayon_texts: Mapping[str, str],
    ) -> list[Table]:
        return [object_table(samples, evaluation, crayon_texts)]

    def tally(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        evaluation: Evaluation,
    ) -> Tally:
        policy = parser_of("pope", self.parser).unparsed_is_no
        known = [sample for sample in samples if sample.answers]
        splits = list(dict.fromkeys(sample.category or "all" for sample in known))
        rows = np.zeros((len(known), len(splits), 6))
        for row, sample in zip(rows, known, strict=True):
            judged = evaluation.per_sample[sample.sample_id]
            pair = (str(judged.parsed), str(judged.reference))
            row[splits.index(sample.category or "all")] = Confusion.of([pair]).row()

        def headline(sums: Array) -> dict[str, Array]:
            counts = sums.reshape(*sums.shape[:-1], len(splits), 6)
            figures = confusion_figures(counts, policy)
            return {
                "mean_accuracy": mean_of_present(figures["accuracy"], counts.sum(-1)),
                "mean_f1": mean_of_present(figures["f1"], counts.sum(-1)),
            }

        return Tally([s.sample_id for s in known], rows.reshape(len(known), -1), headline)


def _by_split(pairs: Sequence[tuple[Sample, str]], parser: Parser) -> dict[str, Confusion]:
    """Counts each split's answers; samples without a label are left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    for sample, text in pairs:
        if sample.answers:
            judged = (parser.parse(text), label(sample))
            found.setdefault(sample.category or "all", []).append(judged)
    order = [split for split in SPLITS if split in found]
    order += [split for split in found if split not in SPLITS]
    return {split: Confusion.of(found[split], parser.unparsed_is_no) for split in order}


def label(sample: Sample) -> str:
    """The sample's label; as the authors have it, whatever is not no is yes."""
    return "no" if sample.answers[0].strip().lower() == "no" else "yes"


def _judged(sample: Sample, text: str, parser: Parser) -> SampleScore:
    parsed = parser.parse(text)
    if not sample.answers:
        return SampleScore(parsed, None, None)
    return SampleScore(parsed, label(sample), parsed == label(sample))


def _headline(splits: Mapping[str, Confusion]) -> dict[str, float]:
    return {
        "mean_accuracy": mean(counts.accuracy for counts in splits.values()),
        "mean_f1": mean(counts.f1 for counts in splits.values()),
    }


def _pooled(splits: Mapping[str, Confusion]) -> dict[str, float]:
    """The figures over all questions at once, which VLMEvalKit and lmms-eval print."""
    names = ("tp", "fp", "tn", "fn", "other_yes", "other_no")
    counts = {name: sum(getattr(x, name) for x in splits.values()) for name in names}
    policy = any(x.unparsed_is_no for x in splits.values())
    pooled = Confusion(**counts, unparsed_is_no=policy)
    return {"pooled_accuracy": pooled.accuracy, "pooled_f1": pooled.f1}


def _notes(samples: Sequence[Sample], splits: Mapping[str, Confusion], parser: str) -> list[str]:
    notes = [f"Answers are read by the rule {parser!r}. {WHICH_NUMBER}"]
    releases = sorted({str(s.extra["release"]) for s in samples if s.extra.get("release")})
    if releases:
        notes.append(f"Release of POPE's random split: {', '.join(releases)} questions.")
    absent = [split for split in SPLITS if split not in splits]
    if splits and absent:
        notes.append(f"The means are over {len(splits)} split(s); not scored: {', '.join(absent)}.")
    hidden = sum(not sample.answers for sample in samples)
    if hidden:
        notes.append(f"{hidden} questions have no label and are not scored.")
    return notes


def _table(splits: Mapping[str, Confusion], headline: Mapping[str, float]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [name, counts.total, *(getattr(counts, column) for column in _COLUMNS)]
        for name, counts in splits.items()
    ]
    total = sum(counts.total for counts in splits.values())
    rows.append(["mean", total, headline["mean_accuracy"], None, None, headline["mean_f1"], None])
    return Table("POPE", ("split", "questions", *_COLUMNS), rows)
