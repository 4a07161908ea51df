"""How MathVista's answers are extracted by rule, brought into form and compared.

Source: lupantech/MathVista, evaluation/extract_answer.py and evaluation/calculate_score.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from collavo.datasets.evaluation.edit_distance import nearest
from collavo.datasets.evaluation.parsing import Parser
from collavo.records import Sample
from collavo.registry import PARSERS

_LETTER = re.compile(r"\(([a-zA-Z])\)")
_QUICK = re.compile(r'The answer is "(.*)"\.')


@dataclass(frozen=True)
class Problem:
    """What the rules need of a question: its types, choices, and decimals of a float answer."""

    question_type: str
    answer_type: str
    choices: tuple[str, ...]
    precision: int | None

    @classmethod
    def of(cls, sample: Sample) -> Problem:
        """Takes it from a sample."""
        extra = sample.extra
        kind, answer = str(extra["question_type"]), str(extra["answer_type"])
        return cls(kind, answer, sample.options, extra["precision"])


@PARSERS.register("mathvista.official", "mathvista.authors")
class OfficialMathVista(Parser):
    """MathVista's authors: a number or a choice as it stands, else what a language model extracts.

    Without a language model the whole answer stands for the extraction.
    """

    def parse(self, text: str) -> str:
        return text.strip()

    def extract(self, response: str, problem: Problem) -> str | None:
        """Extracts by rule; None where the authors ask a language model."""
        if response == "":
            return ""
        if problem.question_type == "multi_choice" and response in problem.choices:
            return response
        try:
            if problem.answer_type == "integer":
                return str(int(response))
            if problem.answer_type == "float":
                return str(float(response))
        except ValueError:
            pass
        return None

    def normalise(self, extraction: Any, problem: Problem) -> str | None:
        """Brings an extraction into the form of the answers; None where it has no such form."""
        if problem.question_type == "multi_choice":
            return _choice(str(extraction).strip(), problem)
        try:
            if problem.answer_type == "integer":
                return str(int(float(extraction)))
            if problem.answer_type == "float":
                return self._rounded(float(extraction), problem)
        except (ValueError, TypeError, OverflowError):
            return None
        return str(extraction) if problem.answer_type == "list" else None

    def _rounded(self, value: float, problem: Problem) -> str | None:
        return None if problem.precision is None else str(round(value, problem.precision))

    def equal(self, prediction: str | None, answer: str) -> bool:
        """Compares a normalised extraction with the answer."""
        return prediction == answer


@PARSERS.register("mathvista.quick_extract")
class QuickMathVista(OfficialMathVista):
    """As the authors with `--quick_extract`: also what stands in `The answer is "...".`."""

    def extract(self, response: str, problem: Problem) -> str | None:
        found = super().extract(response, problem)
        if found is None and (match := _QUICK.search(response)):
            return match[1]
        return found


@PARSERS.register("mathvista.lmms_eval")
class LmmsEvalMathVista(OfficialMathVista):
    """The MathVista of lmms-eval: stripped; answers to float questions are all wrong.

    Its dataset holds the decimals as a float, by which Python's `round` does not round, and the
    error counts as no answer. Source: lmms_eval/tasks/mathvista/mathvista_evals.py.
    """

    def extract(self, response: str, problem: Problem) -> str | None:
        return super().extract(response.strip(), problem)

    def _rounded(self, value: float, problem: Problem) -> str | None:
        return None

    def equal(self, prediction: str | None, answer: str) -> bool:
        return str(prediction).strip() == answer.strip()


def _choice(extraction: str, problem: Problem) -> str | None:
    """The choice that a letter names, else the one most like the text: the first of several."""
    if not problem.choices:
        return None
    letters = _LETTER.findall(extraction)
    if letters:
        extraction = letters[0].upper()
    index = ord(extraction) - ord("A") if len(extraction) == 1 else -1
    if 0 <= index < len(problem.choices):
        return problem.choices[index]
    return nearest(extraction, list(problem.choices))
