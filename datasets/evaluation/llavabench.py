"""LLaVA-Bench's scores: the model's points as a share of the reference answer's, by category.

Source: haotian-liu/LLaVA, llava/eval/summarize_gpt_review.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.graded import REVIEW
from collavo.datasets.evaluation.judge.llavabench import MODEL, Review, review_protocol
from collavo.datasets.evaluation.tally import Tally, divide
from collavo.errors import DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS

Reviews = Mapping[str, Review]

ALL = "all"
UNIT = "percent of the reference"

NOT_REVIEWED = (
    "LLaVA-Bench is scored by a language model, and none was asked: set JUDGE.MODEL (--judge), or "
    "score a review file of the authors' script."
)
SHARE = (
    "The figures are the model's points as percent of the reference answer's; the points of both, "
    "in percent, stand beside them."
)


@EVALUATORS.register("llavabench")
class LLaVABenchEvaluator(Evaluator):
    """LLaVA-Bench: two answers side by side, by a judge or from the authors' review file."""

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        reviews = self._reviews(pairs)
        per_sample = {s.sample_id: _judged(s, text, reviews) for s, text in pairs}
        if not reviews:
            return Evaluation({}, {}, {}, per_sample, [NOT_REVIEWED])
        groups: dict[str, list[Review]] = {ALL: []}
        for sample, _ in pairs:
            for name in (ALL, sample.category):
                groups.setdefault(name, []).append(reviews[sample.sample_id])
        figures = {name: _figures(members) for name, members in groups.items()}
        scores: dict[str, Any] = {name: figure["relative"] for name, figure in figures.items()}
        scores["points"] = figures
        headline = {ALL: scores[ALL]}
        notes = [SHARE]
        if self.judge is not None and not self.judged:
            notes.append(f"Reviewed by {self.judge.model}; the authors ask {MODEL}.")
        units = dict.fromkeys(groups, UNIT)
        return Evaluation(scores, headline, units, per_sample, notes, [_table(figures)])

    def tally(
        self, samples: Sequence[Sample], answers: Mapping[str, str], evaluation: Evaluation
    ) -> Tally:
        reviews = self._reviews(join(samples, answers))
        rows = np.array([(reviews[i].model, reviews[i].reference) for i in reviews], np.float64)
        return Tally(
            list(reviews),
            rows.reshape(len(reviews), 2),
            lambda sums: {ALL: 100 * divide(sums[..., 0], sums[..., 1])},
        )

    def _reviews(self, pairs: Sequence[tuple[Sample, str]]) -> Reviews:
        """The reviews of the answers' file, else the judge's; none where there is neither."""
        if self.judged:
            missing = [
                s.sample_id for s, _ in pairs if REVIEW not in self.judged.get(s.sample_id, {})
            ]
            if missing:
                raise DataError(
                    f"{len(missing)} answers have no review (first: {missing[0]}), though others "
                    "have one"
                )
            found = {s.sample_id: self.judged[s.sample_id][REVIEW] for s, _ in pairs}
            return {i: Review(float(pair[0]), float(pair[1]), "") for i, pair in found.items()}
        if self.judge is None:
            return {}
        unknown = [s.sample_id for s, _ in pairs if not s.answers or s.extra["context"] is None]
        if unknown:
            raise DataError(
                f"{len(unknown)} questions have no reference answer or no context (first: "
                f"{unknown[0]}): put context.jsonl and answers_gpt4.jsonl beside questions.jsonl"
            )
        asked = {
            s.sample_id: review_protocol(
                s.sample_id, str(s.extra["context"]), s.question, s.answers[0], text
            )
            for s, text in pairs
        }
        return self.judge.map("LLaVA-Bench", asked)


def _figures(reviews: Sequence[Review]) -> dict[str, float | int | None]:
    """Means to three decimals, then their ratio and both in percent, to one decimal."""
    reference = round(sum(r.reference for r in reviews) / len(reviews), 3)
    model = round(sum(r.model for r in reviews) / len(reviews), 3)
    return {
        "relative": round(model / reference * 100, 1) if reference else None,
        "reference": round(reference * 10, 1),
        "model": round(model * 10, 1),
        "questions": len(reviews),
    }


def _judged(sample: Sample, text: str, reviews: Reviews) -> SampleScore:
    """The model's points out of ten; no share of the reference, whose mean is no mean of shares."""
    reference = sample.answers[0] if sample.answers else None
    review = reviews.get(sample.sample_id)
    return SampleScore(text.strip(), reference, review.model / 10 if review else None)


def _table(figures: Mapping[str, Mapping[str, float | int | None]]) -> Table:
    columns = ("relative", "reference", "model", "questions")
    rows = [[name, *(figure[c] for c in columns)] for name, figure in figures.items()]
    return Table("LLaVA-Bench, percent", ("category", *columns), rows)
