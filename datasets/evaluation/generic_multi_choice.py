"""Multiple choice with several right options: the whole set of letters is right, no part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from collavo.datasets.evaluation.base import SampleScore
from collavo.datasets.evaluation.choice import ChoiceParser, Judged, options_of
from collavo.datasets.evaluation.generic_choice import GenericChoiceEvaluator
from collavo.datasets.evaluation.parsing import Parser
from collavo.records import Sample
from collavo.registry import EVALUATORS, PARSERS

_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'])")
_WORD = re.compile(r"(?:(?<=^)A|\bI) (?=[a-z])(?!and\b|or\b)")
"""The article and the pronoun, which name no option."""

_TOGETHER = re.compile(r"[A-Z]{2,}")
_ALONE = re.compile(r"[A-Za-z](?:(?:\W+|\W*\band\W+)[A-Za-z])*", re.IGNORECASE)


def letters_in(text: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """Reads the letters that an answer names, in the options' order.

    Capital letters that stand alone ("A, C", "A and C", "(A) red"), or all together ("AC"), small
    ones where there is nothing else ("a, c"); where there are none, the options whose whole text
    the answer names, each place for the longest text that fits it.
    """
    bare = text.strip().strip(".()[] ")
    if _TOGETHER.fullmatch(bare) and all(letter in options for letter in bare):
        return tuple(letter for letter in options if letter in bare)
    alone = bare.upper() if _ALONE.fullmatch(bare) else _WORD.sub("", text.strip())
    said = set(_LETTER.findall(alone))
    found = tuple(letter for letter in options if letter in said)
    if found:
        return found
    words, named = text.casefold(), set()
    for letter, option in sorted(options.items(), key=lambda item: -len(item[1])):
        whole = re.escape(option.strip().casefold())
        # what "dark red" takes is no place for "red"
        words, count = re.subn(rf"(?<!\w){whole}(?!\w)", "\0", words) if whole else (words, 0)
        named |= {letter} if count else set()
    return tuple(letter for letter in options if letter in named)


@PARSERS.register("multi_choice.official")
class AllLetters(ChoiceParser):
    """All letters that the answer names, else all options (ours: VLMEvalKit reads one letter)."""

    @staticmethod
    def rule(text: str, options: Mapping[str, str], /) -> str:
        return ", ".join(letters_in(text, options))


@EVALUATORS.register("multi_choice")
class MultiChoiceEvaluator(GenericChoiceEvaluator):
    """Multiple choice with several right options, in percent: right is the whole set of letters."""

    family = "multi_choice"
    title = "Multiple choice, several right"
    one_reference = False

    def score_of(self, sample: Sample, text: str, parser: Parser) -> SampleScore:
        options = options_of(sample)
        if not options or not sample.answers:
            return super().score_of(sample, text, parser)
        assert isinstance(parser, ChoiceParser), "registered under the name of a choice evaluator"
        read = parser.parse(text, options)
        right = set(read.split(", ")) == set(sample.answers)
        return SampleScore(read or None, list(sample.answers), right)

    def breakdowns(self, judged: Judged) -> dict[str, Any]:
        several = [x for x in judged if len(x[0].answers) > 1]
        kinds = super().breakdowns(judged)
        if several and len(several) < len(judged):
            kinds["right_options"] = self.by(
                judged, lambda s: "several" if len(s.answers) > 1 else "one"
            )
        return kinds
