"""Questions and answers as text: which suffixes prompts carry, and when two questions are one."""

from __future__ import annotations

import html
import unicodedata

YES_OR_NO = "Please answer yes or no."
"""What every question of MME ends with (BradyFU/Awesome-Multimodal-Large-Language-Models)."""

KNOWN_SUFFIXES = (
    "Answer the question using a single word or phrase.",
    "Answer the question with a single word.",
    "Answer the question using a single word.",
    "Answer with the option's letter from the given choices directly.",
    "请直接回答选项字母。",
    YES_OR_NO,
    "Please answer yes or no",
    "Please answer with yes or no.",
    "Answer yes or no.",
    "Answer with yes or no.",
)
"""Instructions that toolkits put behind a question (LLaVA docs/Evaluation.md, lmms-eval, MME)."""

_FOLDED_SUFFIXES = tuple(suffix.casefold() for suffix in KNOWN_SUFFIXES)


def without_suffix(text: str, suffixes: tuple[str, ...] = KNOWN_SUFFIXES) -> str:
    """Removes the known instructions from the end of a question, with the space before them."""
    text = text.rstrip()
    while True:
        suffix = next((x for x in suffixes if text.endswith(x)), None)
        if suffix is None:
            return text
        text = text.removesuffix(suffix).rstrip()


def same_question(text: str) -> str:
    """Returns what two wordings of one question have in common.

    Known suffixes are removed and white space is collapsed: `a  b Please answer yes or no.` and
    `a b` are the same question.
    """
    return " ".join(without_suffix(text).split())


def loosely_same_question(text: str) -> str:
    """As `same_question`, also blind to case, HTML entities and Unicode's compatibility forms."""
    folded = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return " ".join(without_suffix(folded, _FOLDED_SUFFIXES).split())
