"""Relaxed accuracy: ChartQA's, with 5 % of tolerance on numbers (Masry et al., arXiv:2203.10244).

Toolkits differ in which of the two numbers the tolerance is relative to, and in what is stripped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collavo.datasets.evaluation.free_form import AnswerRule, FreeFormEvaluator, Judged, percent
from collavo.datasets.evaluation.yes_no import mean
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

TOLERANCE = 0.05

SPLITS = ("human", "augmented")


def to_number(text: str, percent_sign: float = 100.0) -> float | None:
    """Reads a number as Python's float does ("1e3", "nan", "1_000"); "5%" is 5 / `percent_sign`."""
    try:
        if text.endswith("%"):
            return float(text.rstrip("%")) / percent_sign
        return float(text)
    except ValueError:
        return None


def relaxed_match(target: str, prediction: str, percent_sign: float = 100.0) -> bool:
    """Tells whether a prediction is right: within 5 % of a number, else equal but for case.

    A target of 0 is compared as text. Source: google-research/pix2struct metrics.py.
    """
    given, wanted = to_number(prediction, percent_sign), to_number(target, percent_sign)
    if given is not None and wanted:
        return abs(given - wanted) / abs(wanted) <= TOLERANCE
    return prediction.lower() == target.lower()


class _Relaxed(AnswerRule):
    """Right if `match` holds for one of the references."""

    def match(self, target: str, text: str) -> bool:
        """Compares one reference with the answer as it was read."""
        return relaxed_match(target, text)

    def score(self, text: str, sample: Sample) -> float:
        read = self.parse(text)
        return float(any(self.match(answer, read) for answer in sample.answers))


@PARSERS.register("chartqa.official", "chartqa.authors", "chartqa.pix2struct")
class Official(_Relaxed):
    """The tolerance is relative to the reference; nothing is stripped."""


@PARSERS.register("chartqa.vlmevalkit", "chartqa.lmms_eval")
class Stripped(_Relaxed):
    """VLMEvalKit and lmms-eval: as the official rule, on the stripped answer."""

    def parse(self, text: str) -> str:
        return text.strip()


@PARSERS.register("chartqa.qwen")
class Swapped(Stripped):
    """Qwen-VL: the two are passed in swapped order, so that 5 % are of the answer.

    Source: QwenLM/Qwen-VL evaluate_vqa.py.
    """

    def match(self, target: str, text: str) -> bool:
        return relaxed_match(text, target)


@PARSERS.register("chartqa.trol")
class Trol(Swapped):
    """TroL: swapped; "5%" is 5; of an answer that holds a digit only what is before a space.

    Source: ByungKwanLee/TroL evaluate_chartqa, by the authors of CoLLaVO.
    """

    def parse(self, text: str) -> str:
        if any(letter.isdigit() for letter in text):
            text = text.split(" ")[0]
        return text.strip()

    def match(self, target: str, text: str) -> bool:
        return relaxed_match(text, target, percent_sign=1.0)


@EVALUATORS.register("relaxed_accuracy", "chartqa", "relaxed")
class RelaxedAccuracyEvaluator(FreeFormEvaluator):
    """ChartQA: relaxed accuracy in percent on human and augmented questions, and their mean."""

    family = "chartqa"
    title = "Relaxed accuracy"

    def headline(self, scored: Sequence[Judged]) -> dict[str, float]:
        splits = {
            name: percent(items)
            for name in SPLITS
            if (items := [x for x in scored if x[0].category == name])
        }
        figures = {"accuracy": percent(scored)} | splits
        return figures | ({"mean": mean(splits.values())} if splits else {})

    def notes(self, judged: Sequence[Judged], scores: Mapping[str, Any]) -> list[str]:
        notes = super().notes(judged, scores)
        if "mean" in scores:
            notes.append("mean is that of human and augmented; accuracy that over all questions.")
        return notes
