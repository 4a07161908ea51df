"""Scores of boxes for referring expressions: RefCOCO, RefCOCO+, RefCOCOg and any set with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.box_rules import BoxRule, centre_inside, true_box
from collavo.datasets.evaluation.free_form import HIDDEN
from collavo.datasets.evaluation.parsing import parser_names, parser_of
from collavo.datasets.evaluation.tally import Tally, mean_tally
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample
from collavo.registry import EVALUATORS

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)

RIGHT = 0.5
"""The intersection over union from which on a box is right (Kazemzadeh et al., 2014)."""

_FAMILY = "box_iou"
_HEADLINE = "acc@0.5"


@EVALUATORS.register("box_iou", "refcoco", "rec", "box")
class BoxIouEvaluator(Evaluator):
    """Boxes: right from an intersection over union of 0.5 on; other thresholds, mean, centre.

    Accuracies in percent, mean_iou a fraction. Source: lmms-eval refcoco/utils_rec.py.
    """

    family = _FAMILY

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        known = [pair for pair in pairs if _has_box(pair[0])]
        rule = _rule(self.parser)
        scores = _figures(known, rule) if known else {}
        if known:
            scores["questions"] = len(known)
            scores["parsers"] = {
                name: _figures(known, _rule(name)) for name in parser_names(_FAMILY)
            }
        headline = {name: scores[name] for name in (_HEADLINE, "mean_iou") if known}
        return Evaluation(
            scores=scores,
            headline=headline,
            units=_units(scores),
            per_sample={sample.sample_id: _judged(sample, text, rule) for sample, text in pairs},
            notes=[f"Boxes are read by the rule {self.parser!r}."] if known else [HIDDEN],
            tables=[_table(scores, len(known))] if known else [],
        )

    def tally(
        self, samples: Sequence[Sample], answers: Mapping[str, str], evaluation: Evaluation
    ) -> Tally:
        rule = _rule(self.parser)
        ious = {s.sample_id: rule.iou(answers[s.sample_id], s) for s in samples if _has_box(s)}
        right = {i: float(iou >= RIGHT) for i, iou in ious.items()}
        return mean_tally({_HEADLINE: (100.0, right), "mean_iou": (1.0, ious)})


def _rule(name: str) -> BoxRule:
    rule = parser_of(_FAMILY, name)
    assert isinstance(rule, BoxRule), "the rules of this family read boxes"
    return rule


def _has_box(sample: Sample) -> bool:
    return "box" in sample.extra or "box_pixels" in sample.extra


def _figures(pairs: Sequence[tuple[Sample, str]], rule: BoxRule) -> dict[str, Any]:
    ious = [rule.iou(text, sample) for sample, text in pairs]
    centres = (centre_inside(true_box(sample), rule.box(text, sample)) for sample, text in pairs)
    figures = {f"acc@{t}": 100 * mean(float(x >= t) for x in ious) for t in THRESHOLDS}
    return figures | {"centre": 100 * mean(map(float, centres)), "mean_iou": mean(ious)}


def _judged(sample: Sample, text: str, rule: BoxRule) -> SampleScore:
    parsed = rule.parse(text)
    if not _has_box(sample):
        return SampleScore(parsed, None, None)
    reference = ", ".join(f"{value:.4g}" for value in true_box(sample))
    return SampleScore(parsed, f"[{reference}]", rule.iou(text, sample) >= RIGHT)


def _units(scores: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: "fraction" if name == "mean_iou" else "percent"
        for name in scores
        if name not in ("parsers", "questions")
    }


def _table(scores: Mapping[str, Any], questions: int) -> Table:
    names = [name for name in scores if name not in ("parsers", "questions")]
    row: list[str | float | int | None] = [questions, *(scores[name] for name in names)]
    return Table("Boxes", ("questions", *names), [row])
