"""Rules that find the chosen option in an answer, as the toolkits word them; no state, no samples.

Every rule takes the raw answer and the options by letter, and returns a letter, or `UNREADABLE`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

UNREADABLE = ""
"""No option could be read."""

REFUSED = "Z"
"""The answer says that it is none of the options (VLMEvalKit)."""

Options = Mapping[str, str]
"""The options of a question by letter, in order."""

_API_FAILURE = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_FROM_THE_END = 5
"""A lone letter must stand nearer to the end, in words, else it may be an article or a name."""
_VERBOSE = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")

_AFFIXES = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."),
    (":", ""), (":", ","), (":", "."), (":", ")"), (":", ")."),
)  # fmt: skip

_LLAVA_LETTERS = tuple("ABCDE")
_LLAVA_SENTENCE = re.compile("The answer is ([A-Z]).")

_STRIPPED = (",", ".", "!", "?", ";", ":", "'")
_FEW_WORDS = 5
"""Answers of no more words are not searched for the text of an option (MMMU)."""


def can_infer(text: str, options: Options) -> str:
    """VLMEvalKit's matcher: a lone letter among the last four words, else the only option named.

    Returns:
        A letter, `REFUSED`, or `UNREADABLE` where VLMEvalKit would ask a judge.

    Source: open-compass/VLMEvalKit, vlmeval/utils/matching_util.py, can_infer.
    """
    return _lone_letter(text, options) or _only_text(text, options, longest=True)


def _lone_letter(text: str, options: Options) -> str:
    if _API_FAILURE in text:
        return UNREADABLE
    if any(refusal in text for refusal in _REFUSALS):
        return REFUSED
    words = text.translate(_MARKS).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - _FROM_THE_END:
        return named[0]
    if not named and REFUSED in words:
        return REFUSED
    found = _VERBOSE.search(text)
    if found and found[1].upper() in options:
        return found[1].upper()
    return UNREADABLE


def _only_text(text: str, options: Options, longest: bool) -> str:
    """The only option whose text the answer holds; `longest` refuses answers that are too long."""
    text = text.lower()
    if longest and len(text) > 2 * sum(len(option) for option in options.values()):
        return UNREADABLE
    named = [letter for letter, option in options.items() if option.lower() in text]
    return named[0] if len(named) == 1 else UNREADABLE


def lmms_mmbench(text: str, options: Options) -> str:
    """The matcher of lmms-eval's MMBench: a bare letter, one with a mark, the only option named.

    Letters A to E count whether or not the question has so many options.
    Source: lmms_eval/tasks/mmbench/mmbench_evals.py, can_infer, without its judge.
    """
    if _API_FAILURE not in text:
        words = text.split()
        named = [letter for letter in "ABCDE" if letter in words]
        # "A" in a longer answer may be an article
        if len(named) == 1 and not ("A" in words and len(words) > 3):
            return named[0]
        for before, after in _AFFIXES:
            named = [letter for letter in "ABCDE" if f"{before}{letter}{after}" in words]
            if len(named) == 1:
                return named[0]
    return _only_text(text, options, longest=False)


def llava_letter(text: str, options: Options) -> str:
    """LLaVA's rule: a bare letter, a letter before ". ", or one sentence "The answer is X.".

    A letter that the question does not have is unreadable.
    Source: haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
    """
    if text in _LLAVA_LETTERS:
        letter = text
    elif text[:1] in _LLAVA_LETTERS and text[1:3] == ". ":
        letter = text[0]
    else:
        found = _LLAVA_SENTENCE.findall(text)
        letter = found[0] if len(found) == 1 else UNREADABLE
    return letter if letter in options and letter in _LLAVA_LETTERS else UNREADABLE


def whole_letter(text: str, options: Options) -> str:
    """The answer must be the letter alone, to the character."""
    return text if text in options else UNREADABLE


def whole_letter_any_case(text: str, options: Options) -> str:
    """The answer must be the letter alone, in either case, with white space around it.

    Source: evaluate_exact_match_accuracy of OpenGVLab/InternVL, evaluate_vqa.py, also in MoVA.
    """
    return whole_letter(_upper(text.strip()), options)


def first_character(text: str, options: Options) -> str:
    """The first character, in either case. Source: ByungKwanLee/CoLLaVO evaluate_seed.py."""
    return whole_letter(_upper(text[:1]), options)


def first_capital(text: str, options: Options) -> str:
    """The first capital letter anywhere. Source: ByungKwanLee/CoLLaVO ai2d_evaluation.py."""
    found = re.search("[A-Z]", text)
    return found[0] if found else UNREADABLE


def position_in(text: str, letters: str) -> int:
    """The option's number by Python's find: 0 for an empty answer, "BC" is 1, -1 if not found.

    Source: ByungKwanLee/CoLLaVO evaluate_qbench.py ("ABCD") and evaluate_ai2d.py ("ABCDE").
    """
    return letters.find(text)


def lmms_exact(text: str, options: Options) -> str:
    """lmms-eval's AI2D: a letter before a period at the start; else all the answer is the letter.

    In the latter case and punctuation do not count.
    Source: lmms_eval/tasks/ai2d/utils.py and exact_match in lmms_eval/api/metrics.py.
    """
    found = re.match(r"\s*([A-Z])\.", text)
    kept = (found[1] if found else text).strip()
    # numpy, which compares there, drops NULs at the end
    kept = kept.rstrip("\0").lower()
    kept = kept.translate(dict.fromkeys(map(ord, string.punctuation))).rstrip("\0")
    return whole_letter(_upper(kept), options)


def lmms_science(text: str, options: Options) -> str:
    """lmms-eval's ScienceQA: the letter alone in either case, or a capital before a period.

    Source: lmms_eval/tasks/scienceqa/utils.py.
    """
    text = text.strip()
    if len(text) == 1:
        return whole_letter(_upper(text), options)
    if text[:1].isupper() and text[1:2] == ".":
        return whole_letter(_upper(text[0].lower()), options)
    return UNREADABLE


def mmmu_choice(text: str, options: Options, letters: Sequence[str], lmms: bool = False) -> str:
    """MMMU's rule: "(A)", else " A ", else (of more than five words) an option's text.

    Of several the last in the answer. Where the authors draw lots, it is unreadable.

    Args:
        text: The raw answer.
        options: The options by letter; empty where they are not known.
        letters: The letters to look for.
        lmms: lmms-eval's variant, which takes "A " (also at a word's end) and then "A.".

    Source: MMMU-Benchmark/MMMU, mmmu/utils/eval_utils.py; lmms_eval/tasks/_task_utils.
    """
    for mark in _STRIPPED:
        text = text.strip(mark)
    text = f" {text} "
    for form in ("({})", "{} ", "{}.") if lmms else ("({})", " {} "):
        named = [letter for letter in letters if form.format(letter) in text]
        if named:
            spot = "({})" if form == "({})" else " {} "
            return _last(named, {x: text.rfind(spot.format(x)) for x in named})
    if len(text.split()) > _FEW_WORDS:
        lower = text.lower()
        named = [letter for letter, option in options.items() if option.lower() in lower]
        if named:
            return _last(named, {x: lower.rfind(options[x].lower()) for x in named})
    return UNREADABLE


def letter_or_text(text: str, options: Options) -> str:
    """A letter at the start ("B", "B.", "(B) x", "B: x"), else the whole text of one option.

    Case and a period at the end do not count in the text; the letter is a capital.
    """
    text = text.strip()
    found = re.match(r"\(?([A-Z])(?:$|[.):,])", text)
    if found and found[1] in options:
        return found[1]
    said = _bare(text)
    named = [letter for letter, option in options.items() if _bare(option) == said]
    return named[0] if named and said else UNREADABLE


def _bare(text: str) -> str:
    return text.strip().removesuffix(".").casefold()


def _last(named: Sequence[str], places: Mapping[str, int]) -> str:
    """The one that stands last; of equals the first, as numpy's argmax takes it."""
    return max(named, key=lambda letter: places[letter])


def _upper(text: str) -> str:
    """Letters a to z as capitals; anything else as it is ("ß" must not become "SS")."""
    return text.upper() if text.isascii() else text
