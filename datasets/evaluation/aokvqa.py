"""A-OKVQA's scores (Schwenk et al., 2022, arXiv:2206.01718)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, join
from collavo.datasets.evaluation.choice import ChoiceEvaluator, Judged, options_of
from collavo.datasets.evaluation.choice_rules import UNREADABLE
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS


@EVALUATORS.register("aokvqa")
class AOKVQAEvaluator(ChoiceEvaluator):
    """A-OKVQA's multiple choice: accuracy in percent; the text of the choice must be right.

    Source: allenai/aokvqa evaluation/eval_predictions.py.
    """

    family = "aokvqa"
    title = "A-OKVQA, multiple choice"
    measure = "percent"

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        judged = super().score_of(sample, text, parser)
        if judged.correct is None or judged.parsed is None:
            return judged
        options = options_of(sample)
        # two choices may be the same text
        said, right = options.get(judged.parsed, UNREADABLE), options[sample.answers[0]]
        return SampleScore(
            judged.parsed, judged.reference, judged.parsed in options and said == right
        )

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        return {}

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes the authors' predictions: the text of the chosen option by question id."""
        chosen = {
            str(sample.question_id): {
                "multiple_choice": options_of(sample).get(score.parsed or "", "")
            }
            for sample, score in self.read_all(join(samples, answers), self.parser)
        }
        return [_write(folder / "aokvqa_predictions.json", chosen)]


@PARSERS.register("aokvqa_direct.official", "aokvqa_direct.authors")
class OfficialDirect(Parser):
    """A-OKVQA's authors: the answer as it is, to the character."""

    def parse(self, text: str) -> str:
        return text


@PARSERS.register("aokvqa_direct.stripped")
class StrippedDirect(Parser):
    """The answer in lower case, without white space around it and a period at its end."""

    def parse(self, text: str) -> str:
        return text.strip().removesuffix(".").strip().lower()


@EVALUATORS.register("aokvqa_direct")
class AOKVQADirectEvaluator(Evaluator):
    """A-OKVQA's direct answers: min(1, equal references / 3), in percent.

    Questions that the authors mark as difficult to answer directly are left out.
    Source: allenai/aokvqa evaluation/eval_predictions.py.
    """

    family = "aokvqa_direct"

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = join(samples, answers)
        per_sample = {s.sample_id: _direct(s, text, self.parser) for s, text in pairs}
        headline = _headline(per_sample.values())
        known = sum(score.correct is not None for score in per_sample.values())
        return Evaluation(
            scores={
                **headline,
                "questions": known,
                "parsers": {
                    name: _headline(_direct(s, text, name) for s, text in pairs)
                    for name in parser_names("aokvqa_direct")
                },
            },
            headline=headline,
            units={"direct_answer": "percent"},
            per_sample=per_sample,
            notes=[
                f"{len(pairs) - known} questions are difficult to answer directly, or have no "
                "references, and are left out, as the authors do.",
                f"Answers are read by the rule {self.parser!r}.",
            ],
        )

    def submission(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Writes the authors' predictions: the answer by question id."""
        rule = parser_of("aokvqa_direct", self.parser)
        said = {
            str(sample.question_id): {"direct_answer": rule.parse(text)}
            for sample, text in join(samples, answers)
        }
        return [_write(folder / "aokvqa_predictions.json", said)]


def _direct(sample: Sample, text: str, parser: str) -> SampleScore:
    parsed = parser_of("aokvqa_direct", parser).parse(text)
    if not sample.answers or sample.extra.get("difficult_direct_answer"):
        return SampleScore(parsed, list(sample.answers) or None, None)
    equal = sum(parsed == answer for answer in sample.answers)
    return SampleScore(parsed, list(sample.answers), min(1.0, equal / 3))


def _headline(scores: Any) -> dict[str, float]:
    known = [float(score.correct) for score in scores if score.correct is not None]
    return {"direct_answer": 100 * mean(known)} if known else {}


def _write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return path
