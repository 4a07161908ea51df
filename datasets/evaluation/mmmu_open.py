"""How MMMU reads open answers: the ends of sentences and every number, against the references.

Source: MMMU-Benchmark/MMMU, mmmu/utils/eval_utils.py (parse_open_response, eval_open).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Reading = str | float

_INDICATORS = (
    "could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ",
)  # fmt: skip
_TRIVIAL = frozenset(":,.!?;'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""With commas, scientific, plain."""


def readings(text: str) -> list[Reading]:
    """Returns all that an open answer may say, each once: texts and numbers.

    The authors split sentences at a capital letter after they have lower-cased all, so that only
    line ends split; that is kept.
    """
    parts = _tails(text)
    found: list[Reading] = []
    for part in [*parts, *(number for x in parts for number in _numbers_in(x))]:
        found += [value for value in normalised(part) if value not in found]
    return found


def agrees(readings_: Sequence[Reading], references: Sequence[str]) -> bool:
    """Whether a reading holds the text of a reference, or is its number."""
    wanted = [value for reference in references for value in normalised(reference)]
    texts = [value for value in wanted if isinstance(value, str)]
    return any(
        any(text in value for text in texts) if isinstance(value, str) else value in wanted
        for value in readings_
    )


def normalised(text: str) -> list[Reading]:
    """A number rounded to two places, else the text in lower case.

    A single character is given a space before and behind, so that it is no part of a word.
    """
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        pass
    text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def _tails(text: str) -> list[str]:
    """The shortest tail of each line after a word that announces an answer; else all the text."""
    text = text.strip().strip(".").lower()
    lines = re.split(r"\.\s(?=[A-Z])|\n", text)
    found = []
    for number, line in enumerate(lines, start=1):
        # in the last line an equation, too
        marks = (*_INDICATORS, "=") if number == len(lines) else _INDICATORS
        shortest = ""
        for mark in marks:
            if mark in line:
                tail = line.split(mark)[-1].strip()
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in _TRIVIAL:
            found.append(shortest)
    return found or [text]


def _numbers_in(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]
