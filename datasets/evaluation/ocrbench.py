"""OCRBench (Liu et al., 2023, arXiv:2305.07895): how many of 1,000 answers hold the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from collavo.datasets.evaluation.base import Table
from collavo.datasets.evaluation.free_form import (
    AnswerRule,
    FreeFormEvaluator,
    Grouping,
    Judged,
    percent,
    text_field,
)
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

RECOGNITION = (
    "Regular Text Recognition",
    "Irregular Text Recognition",
    "Artistic Text Recognition",
    "Handwriting Recognition",
    "Digit String Recognition",
    "Non-Semantic Text Recognition",
)
"""The six categories of 50 questions each that make up text recognition."""

FORMULAS = "Handwritten Mathematical Expression Recognition"
CATEGORIES = (
    *RECOGNITION,
    "Scene Text-centric VQA",
    "Doc-oriented VQA",
    "Key Information Extraction",
    FORMULAS,
)

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}


@PARSERS.register("ocrbench.official", "ocrbench.authors")
class Official(AnswerRule):
    """Right if the answer holds one of the references, in lower case and on one line.

    Formulas (HME100k) are compared in their own case and without spaces. So an answer that repeats
    the reference anywhere is right. Source: Yuliang-Liu/MultimodalOCR OCRBench/example.py.
    """

    def score(self, text: str, sample: Sample) -> float:
        formula = self.is_formula(sample)
        read = self.read(text, formula)
        return float(any(self.read(answer, formula) in read for answer in sample.answers))

    def is_formula(self, sample: Sample) -> bool:
        """Tells whether case counts and spaces do not."""
        return sample.extra.get("dataset_name") == "HME100k"

    def read(self, text: str, formula: bool) -> str:
        """Returns an answer or reference in the form that is compared."""
        if formula:
            return text.strip().replace("\n", " ").replace(" ", "")
        return text.lower().strip().replace("\n", " ")


@PARSERS.register("ocrbench.vlmevalkit")
class VlmEvalKit(Official):
    """VLMEvalKit: as the authors, but the category tells what a formula is."""

    def is_formula(self, sample: Sample) -> bool:
        return sample.category == FORMULAS


@PARSERS.register("ocrbench.lmms_eval")
class LmmsEval(Official):
    """lmms-eval: as the authors, with full-width letters and spaces as plain ones."""

    def read(self, text: str, formula: bool) -> str:
        return super().read(text if formula else text.translate(_FULL_WIDTH), formula)


@EVALUATORS.register("ocrbench")
class OcrBenchEvaluator(FreeFormEvaluator):
    """OCRBench: right answers of 1,000, of text recognition and the four other parts."""

    family = "ocrbench"
    title = "OCRBench"
    groupings: ClassVar[Mapping[str, Grouping]] = {
        "per_category": lambda s: s.category or None,
        "per_dataset": text_field("dataset_name"),
    }

    def headline(self, scored: Sequence[Judged]) -> dict[str, float]:
        return {"final_score": _right(scored), "accuracy": percent(scored)}

    def units(self, headline: Mapping[str, float]) -> dict[str, str]:
        return {"final_score": "points of 1000", "accuracy": "percent"}

    def further(self, scored: Sequence[Judged]) -> dict[str, Any]:
        def of(*categories: str) -> int:
            return _right([x for x in scored if x[0].category in categories])

        return {
            "text_recognition": of(*RECOGNITION),
            "points": {category: of(category) for category in CATEGORIES},
        }

    def table(self, scores: Mapping[str, Any]) -> Table:
        totals = scores.get("per_category", {})
        rows: list[list[str | float | int | None]] = [
            [name, points, totals.get(name, {}).get("questions", 0)]
            for name, points in scores["points"].items()
        ]
        recognition = sum(totals.get(name, {}).get("questions", 0) for name in RECOGNITION)
        rows.append(["Text recognition", scores["text_recognition"], recognition])
        rows.append(["Final score", scores["final_score"], scores["questions"]])
        return Table(self.title, ("category", "right", "questions"), rows)


def _right(scored: Sequence[Judged]) -> int:
    return sum(bool(score.correct) for _, score in scored)
