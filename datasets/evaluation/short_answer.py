"""Short answers of any dataset: equality after normalisation, and ANLS."""

from __future__ import annotations

from collavo.datasets.evaluation.evalai import normalize
from collavo.datasets.evaluation.free_form import AnswerRule, FreeFormEvaluator
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

ANLS_THRESHOLD = 0.5
"""Similarities below count as 0 (Biten et al., 2019, arXiv:1905.13648)."""

ANLS_CHARACTERS = 1000
"""Characters of an answer that are compared; references are words or lines."""


class _SameText(AnswerRule):
    """Right if it equals one of the references, after `parse` of both."""

    def score(self, text: str, sample: Sample) -> float:
        read = self.parse(text)
        return float(any(read == self.parse(answer) for answer in sample.answers))


@PARSERS.register("short_answer.official", "short_answer.evalai")
class Normalized(_SameText):
    """Equal to one of the references after VQA's normalisation: case, marks, articles, numbers."""

    def parse(self, text: str) -> str:
        return normalize(text)


@PARSERS.register("short_answer.loose")
class Loose(_SameText):
    """Equal to one of the references, stripped and in lower case."""

    def parse(self, text: str) -> str:
        return text.strip().lower()


@PARSERS.register("short_answer.exact")
class Exact(_SameText):
    """Equal to one of the references to the character."""


@PARSERS.register("short_answer.contains")
class Contains(Normalized):
    """The answer holds one of the references, both after VQA's normalisation."""

    def score(self, text: str, sample: Sample) -> float:
        read = f" {self.parse(text)} "
        found = (self.parse(answer) for answer in sample.answers)
        return float(any(f" {answer} " in read for answer in found if answer))


@EVALUATORS.register("short_answer", "text")
class ShortAnswerEvaluator(FreeFormEvaluator):
    """Short answers: the share in percent that equal a reference after VQA's normalisation."""

    family = "short_answer"
    title = "Short answers"


@PARSERS.register("anls.official")
class Anls(AnswerRule):
    """The best similarity to a reference, 0 below a half; case and outer white space do not count.

    Similarity is 1 - edit distance / length of the longer text.
    Source: Biten et al., 2019, arXiv:1905.13648, equation 1; white space runs count as one space.
    """

    soft = True

    def parse(self, text: str) -> str:
        return " ".join(text.lower().split())

    def score(self, text: str, sample: Sample) -> float:
        return max(self._similarity(self.parse(text), self.parse(a)) for a in sample.answers)

    def _similarity(self, given: str, wanted: str) -> float:
        longest = max(len(given), len(wanted))
        if longest == 0:
            return 1.0
        if len(given) > max(ANLS_CHARACTERS, 3 * len(wanted)):
            return 0.0  # such an answer is more than half wrong
        similarity = 1 - edit_distance(given, wanted) / longest
        return similarity if similarity >= ANLS_THRESHOLD else 0.0


@EVALUATORS.register("anls", "docvqa", "infovqa")
class AnlsEvaluator(FreeFormEvaluator):
    """Average normalised Levenshtein similarity in percent (DocVQA, InfographicVQA)."""

    family = "anls"
    title = "ANLS"

    def headline(self, scored: object) -> dict[str, float]:
        figures = super().headline(scored)  # type: ignore[arg-type]
        return {"anls": figures["accuracy"], **figures}


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance: insertions, deletions and substitutions cost one each."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
        before = row
    return before[-1]
