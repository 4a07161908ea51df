"""Multiple choice with several right options: the whole set of letters is right, no part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from collavo.datasets.evaluation.base import SampleScore
from collavo.datasets.evaluation.choice import Judged, options_of
from collavo.datasets.evaluation.generic_choice import GenericChoiceEvaluator
from collavo.datasets.evaluation.parsing import Parser
from collavo.records import Sample
from collavo.registry import EVALUATORS

_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'])")
_TOGETHER = re.compile(r"[A-Z]{2,}")


def letters_in(text: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """Reads the letters that an answer names, in the options' order.

    Capital letters that stand alone ("A, C", "A and C", "(A) red"), or all together ("AC"); where
    there are none, the options whose whole text the answer names.
    """
    bare = text.strip().strip(".()[] ")
    if _TOGETHER.fullmatch(bare) and all(letter in options for letter in bare):
        return tuple(letter for letter in options if letter in bare)
    said = set(_LETTER.findall(text))
    if re.match(r"A [a-z]", text):  # the article
        said = set(_LETTER.findall(text[1:]))
    found = tuple(letter for letter in options if letter in said)
    if found:
        return found
    words = text.casefold()
    return tuple(
        letter
        for letter, option in options.items()
        if option.strip() and re.search(rf"(?<!\w){re.escape(option.casefold())}(?!\w)", words)
    )


@EVALUATORS.register("multi_choice")
class MultiChoiceEvaluator(GenericChoiceEvaluator):
    """Multiple choice with several right options, in percent: right is the whole set of letters."""

    title = "Multiple choice, several right"

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        options = options_of(sample)
        if not options:
            return super().score_of(sample, text, parser)
        read = letters_in(text, options)
        if not sample.answers:
            return SampleScore(", ".join(read) or None, None, None)
        right = set(read) == set(sample.answers)
        return SampleScore(", ".join(read) or None, list(sample.answers), right)

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        several = [x for x in judged if len(x[0].answers) > 1]
        kinds = super().breakdowns(judged)
        if several and len(several) < len(judged):
            kinds["right_options"] = self.by(
                judged, lambda s: "several" if len(s.answers) > 1 else "one"
            )
        return kinds
