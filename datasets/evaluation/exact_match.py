"""Exact match of short answers, under the normalisation of each toolkit."""

from __future__ import annotations

import string

from collavo.datasets.evaluation.free_form import AnswerRule, FreeFormEvaluator
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactRule(AnswerRule):
    """Right if the answer equals one of the references, after `reading` of both."""

    def parse(self, text: str) -> str:
        return self.reading(text)

    def reading(self, text: str) -> str:
        """Returns the answer in the form that is compared."""
        return text

    def reference(self, text: str) -> str:
        """Returns a reference in the form that is compared."""
        return self.reading(text)

    def score(self, text: str, sample: Sample) -> float:
        given = self.reading(text)
        return float(any(given == self.reference(answer) for answer in sample.answers))


@PARSERS.register("exact_match.official", "exact_match.exact")
@PARSERS.register("gqa.official", "gqa.authors")
class Exact(ExactRule):
    """The texts are equal to the letter, as GQA's eval.py compares them."""


@PARSERS.register("gqa.llava", "gqa.collavo")
@PARSERS.register("exact_match.llava")
class LlavaExact(ExactRule):
    """The answer without periods at its end and in lower case equals the reference to the letter.

    Source: haotian-liu/LLaVA convert_gqa_for_eval.py, then GQA's eval.py: what papers quote.
    """

    def reading(self, text: str) -> str:
        return text.rstrip(".").lower()

    def reference(self, text: str) -> str:
        return text


@PARSERS.register("gqa.trol")
class TrolExact(LlavaExact):
    """The answer in lower case equals the reference. Source: ByungKwanLee/TroL eval_gqa."""

    def reading(self, text: str) -> str:
        return text.lower()


@PARSERS.register("exact_match.lmms_eval")
@PARSERS.register("gqa.lmms_eval")
class LmmsEvalExact(ExactRule):
    """The answer, stripped, equals the reference, both without punctuation and in lower case.

    NULs at the end go, as they do in numpy's arrays of text.
    Source: lmms-eval's exact_match with ignore_case and ignore_punctuation (gqa.yaml).
    """

    def parse(self, text: str) -> str:
        return self.reading(text.strip())

    def reading(self, text: str) -> str:
        return text.lower().translate(_DELETE_PUNCTUATION).rstrip("\0")

    def score(self, text: str, sample: Sample) -> float:
        return super().score(text.strip(), sample)


@PARSERS.register("exact_match.vlmevalkit", "exact_match.loose")
@PARSERS.register("gqa.vlmevalkit")
class VlmEvalKitExact(ExactRule):
    """The texts are equal when stripped and in lower case.

    Source: open-compass/VLMEvalKit process_line, method "accuracy".
    """

    def reading(self, text: str) -> str:
        return text.strip().lower()


@EVALUATORS.register("exact_match", "exact")
class ExactMatchEvaluator(FreeFormEvaluator):
    """Exact match in percent, overall and per category."""

    family = "exact_match"
    title = "Exact match"
