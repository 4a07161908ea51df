"""VQA's answer normalisers and its soft accuracy, as each toolkit has them.

Sources: GT-Vision-Lab/VQA vqaEval.py; mmf's m4c_evaluator.py (copied by LLaVA, CoLLaVO and
lmms-eval; its results are "EvalAI's"); open-compass/VLMEvalKit vqa_eval.py and smp/misc.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from collavo.datasets.evaluation.contractions import CONTRACTIONS

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
"""The marks that the normalisers remove, in their order; ' : % $ * # & stay."""

_NUMBERS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_ARTICLES = frozenset(("a", "an", "the"))

_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
"""The authors write `(?!<=\\d)(\\.)(?!\\d)`: their look-behind is mistyped and never fails."""
_PERIOD_OF_VLMEVALKIT = re.compile(r"(?<!\d)\.(?!\d)")

_COUNT = int(re.UNICODE)
"""The authors pass re.UNICODE (32) where the count belongs: only so many periods go."""


@lru_cache(maxsize=1 << 16)
def normalize(text: str) -> str:
    """Normalises an answer as mmf's m4c evaluator does, which LLaVA and lmms-eval copy.

    Unlike VQA's own code it first drops "," and "?" and parts "'s" off as a word of its own.
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return digits_and_articles(without_punctuation(one_line(text)))


@lru_cache(maxsize=1 << 16)
def normalize_official(text: str) -> str:
    """Normalises an answer as VQA's own code does where the references differ."""
    return digits_and_articles(without_punctuation(one_line(text)))


@lru_cache(maxsize=1 << 16)
def normalize_vlmevalkit(text: str) -> str:
    """Normalises an answer as VLMEvalKit does: a period after a digit stays ("2." is "2.")."""
    return digits_and_articles(without_punctuation(one_line(text), _PERIOD_OF_VLMEVALKIT))


def one_line(text: str) -> str:
    """Turns line feeds and tabs into spaces and strips both ends."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def without_punctuation(text: str, period: re.Pattern[str] = _PERIOD) -> str:
    """Removes punctuation.

    A mark that touches a space somewhere is deleted everywhere, any other becomes a space; a comma
    between digits makes all of them be deleted. Then the first 32 periods go that `period` finds.
    """
    between_digits = _COMMA.search(text) is not None
    out = text
    for mark in PUNCTUATION:
        if mark in out:
            deleted = between_digits or f"{mark} " in text or f" {mark}" in text
            out = out.replace(mark, "" if deleted else " ")
    return period.sub("", out, count=_COUNT)


def without_punctuation_vlmevalkit(text: str) -> str:
    """Removes punctuation as VLMEvalKit does: a period that touches a digit stays."""
    return without_punctuation(text, _PERIOD_OF_VLMEVALKIT)


def digits_and_articles(text: str) -> str:
    """Lowers the case, writes none to ten as digits, drops articles, restores contractions."""
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def leave_one_out(answer: str, references: Sequence[str]) -> float:
    """VQA's accuracy of an answer against references, all normalised alike; 0 without references.

    Each reference is left out in turn; the rest gives min(1, equal ones / 3); the mean counts.
    Source: Antol et al., 2015, arXiv:1505.00468, and vqaEval.py.
    """
    if not references:
        return 0.0
    equal = sum(reference == answer for reference in references)
    scores = [min(1.0, (equal - (reference == answer)) / 3) for reference in references]
    return sum(scores) / len(scores)


def soft_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """The m4c evaluator's accuracy in [0, 1] of a raw prediction against raw references."""
    return leave_one_out(normalize(prediction), [normalize(answer) for answer in answers])


def soft_accuracy_official(prediction: str, answers: Sequence[str]) -> float:
    """VQA's own accuracy in [0, 1].

    Where all references are the same, nothing is normalised: "Yes" is not "yes" then.
    """
    given, references = one_line(prediction), [one_line(answer) for answer in answers]
    if len(set(references)) > 1:
        given, references = _normalized(given), [_normalized(x) for x in references]
    return leave_one_out(given, references)


def soft_accuracy_vlmevalkit(prediction: str, answers: Sequence[str]) -> float:
    """VLMEvalKit's accuracy in [0, 1]: always normalised, by its own normaliser."""
    references = [normalize_vlmevalkit(answer) for answer in answers]
    return leave_one_out(normalize_vlmevalkit(prediction), references)


def soft_accuracy_lmms_eval(prediction: str, answers: Sequence[str]) -> float:
    """The VQAv2 of lmms-eval in [0, 1]: VQA's normaliser, also where all references agree."""
    references = [normalize_official(answer) for answer in answers]
    return leave_one_out(normalize_official(prediction), references)


def _normalized(text: str) -> str:
    return digits_and_articles(without_punctuation(text))
