"""Reads the options of rows of any common wording, and which of them are right.

Options come as a list, an object, one text or columns, with or without their letters; the right
ones as letters, texts, both, or places. Whatever cannot be told for sure is refused or noted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collavo.datasets.registration.choices import (
    LETTERS,
    NO_TEXT,
    letter_at,
    lettered,
    note_gaps,
    note_no_option,
)
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.readers.tsv import is_na
from collavo.errors import DataError

OPTIONS = ("options", "choices", "candidates", "multiple_choices")
"""Fields that are looked for; the first that holds something wins, columns A, B, ... come last."""

_COLUMN = re.compile(r"(?:option|choice|opt)[ _-]?([A-Za-z]|\d{1,2})", re.IGNORECASE)
"""Columns of single options under longer names: option_a, Option B, choice1."""

_MARK = r"(?:[)）.．:：、]|\s+[-–](?=\s))"
_LABEL = re.compile(
    rf"\s*(?:option\s+)?(?:[(（\[<]([A-Za-z])[)）\]>][.:]?|([A-Za-z]){_MARK})\s*(\S.*)",
    re.DOTALL | re.IGNORECASE,
)
"""An option or answer that brings its letter: "A. red", "(A) red", "A) red", "Option A: red"."""

_NUMBER = re.compile(r"\s*(?:\((\d{1,2})\)|(\d{1,2})(?:\)|[.:](?=\s)))\s*(\S.*)", re.DOTALL)
"""An option that brings a number: "1. red", "(1) red"; 1.5 is none."""

_INLINE = re.compile(r"(?:^|(?<=\s)|(?<=[;,|]))\s*(?:\(([A-Z])\)|([A-Z])[.):](?=\s))\s*")
_BETWEEN = re.compile(r"\s*(?:[,;/&+|、]|\band\b)\s*", re.IGNORECASE)
_LEAD = re.compile(
    r"\s*(?:the\s+)?(?:correct\s+)?(?:answer|option)(?:\s+is)?(?:\s*[:：]\s*|\s+)", re.IGNORECASE
)
_AROUND = "()[]<>{}（）【】.,:;*。、 \t\r\n"


@dataclass(frozen=True)
class RowOptions:
    """The options of a row.

    Args:
        texts: By letter, in the letters' order; empty for a question without options.
        names: What else names an option in an answer, with its letter: the keys of an object and
            the numbers that options bring.
        fields: The fields that they stand in.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


def holds(value: Any) -> bool:
    """Tells whether a field holds something: null, NaN, blank texts and lists of these do not."""
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list | tuple):
        return any(holds(item) for item in value)
    if isinstance(value, Mapping):
        return any(holds(item) for item in value.values())
    return value is not None


def text_of(row: Row, name: str, value: Any) -> str:
    """Returns a text or number as text, whole numbers without ".0".

    Raises:
        DataError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{row.place}: {name!r} must be text, got {value!r:.80}")
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)


def options_of_row(row: Row) -> RowOptions:
    """Reads a row's options, also those that say "None" or "NA".

    Raises:
        DataError: They are no texts, or one text does not say where each begins.
    """
    name = next((n for n in OPTIONS if _has_options(row.values.get(n))), None)
    if name is None:
        return _in_columns(row)
    value = row.values[name]
    if isinstance(value, str):
        value = _parted(row, name, value)
    if isinstance(value, Mapping):
        return _by_key(row, name, value)
    if not isinstance(value, list | tuple) or len(value) > len(LETTERS):
        raise DataError(
            f"{row.place}: options must be at most {len(LETTERS)} texts, got {value!r:.80}"
        )
    texts = {k: text_of(row, name, v) for k, v in zip(LETTERS, value, strict=False) if holds(v)}
    if len(texts) < len(value):
        note(NO_TEXT, row.place)
    return _named(texts, (name,))


def _has_options(value: Any) -> bool:
    return holds(value) and not (isinstance(value, str) and is_na(value.strip()))


def _parted(row: Row, name: str, text: str) -> Any:
    """Takes one text apart: a list or object, lines, or letters that begin each option."""
    whole = literal(text) if text.lstrip()[:1] in ("[", "{", "(") else None
    if isinstance(whole, list | tuple | Mapping):
        return whole
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    marks = list(_INLINE.finditer(text))
    said = "".join(mark[1] or mark[2] for mark in marks)
    if len(marks) > 1 and LETTERS.startswith(said) and not text[: marks[0].start()].strip():
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        return [text[m.end() : end].strip(" ,;|\t") for m, end in zip(marks, ends, strict=True)]
    raise DataError(
        f"{row.place}: the options are one text that is no list: {text!r:.80}; give a list in "
        f"{name!r}, or each option on a line or behind its letter (A. red B. blue)"
    )


def _by_key(row: Row, name: str, value: Mapping[Any, Any]) -> RowOptions:
    """Options of an object: by letter, or under any other keys in their order."""
    listed = {str(k).strip(): text_of(row, name, v) for k, v in value.items() if holds(v)}
    upper = {k.upper(): v for k, v in listed.items()}
    letters = {str(k).strip().upper() for k in value}
    if "A" in letters and len(letters) == len(value) and letters <= set(LETTERS):
        note_gaps(upper, row.place)
        return RowOptions(_bare(dict(sorted(upper.items()))), fields=(name,))
    if len(listed) > len(LETTERS):
        raise DataError(f"{row.place}: options must be at most {len(LETTERS)}, got {len(listed)}")
    texts = dict(zip(LETTERS, listed.values(), strict=False))
    return RowOptions(texts, dict(zip(listed, texts, strict=True)), (name,))


def _in_columns(row: Row) -> RowOptions:
    found = lettered(row)
    if len(found) > 1:
        return RowOptions(_bare(found), fields=tuple(found))
    columns = {m[1].upper(): n for n in row.values if (m := _COLUMN.fullmatch(n))}
    columns = {k: n for k, n in columns.items() if holds(row.values[n])}
    if len(columns) < 2:
        return RowOptions()
    numbered = all(k.isdigit() for k in columns)
    keys = sorted(columns, key=int if numbered else None)
    texts = [text_of(row, columns[k], row.values[columns[k]]) for k in keys]
    letters = LETTERS[: len(keys)] if numbered else keys
    names = dict(zip(keys, letters, strict=True)) if numbered else {}
    return RowOptions(
        _bare(dict(zip(letters, texts, strict=True))), names, tuple(columns[k] for k in keys)
    )


def _named(options: Mapping[str, str], fields: tuple[str, ...]) -> RowOptions:
    texts = list(options.values())
    numbers = [_NUMBER.fullmatch(text) for text in texts]
    found = [int(match[1] or match[2]) for match in numbers if match]
    first = found[0] if found else 0
    if first > 1 or len(found) < max(2, len(texts)) or found != [*range(first, first + len(texts))]:
        return RowOptions(_bare(options), {}, fields)
    # numbers are kept: the prompt's letters stand before them, and answers may say either
    names = {str(n): letter for n, letter in zip(found, options, strict=True)}
    names |= {m[3].strip(): k for m, k in zip(numbers, options, strict=True) if m is not None}
    return RowOptions(options, names, fields)


def _bare(options: Mapping[str, str]) -> dict[str, str]:
    """The options without the letters, if all of them bring their own along."""
    found = {letter: _LABEL.fullmatch(text) for letter, text in options.items()}
    texts = {
        letter: match[3].strip()
        for letter, match in found.items()
        if match is not None and (match[1] or match[2]).upper() == letter
    }
    return texts if len(texts) == len(options) > 1 else dict(options)


def without_options(row: Row, question: str, options: Mapping[str, str]) -> str:
    """Returns a question without the lines that list the very options once more."""
    lines = question.splitlines()
    wanted = list(options.items())
    for start in range(len(lines) - len(wanted) + 1):
        part = [_LABEL.fullmatch(line) for line in lines[start : start + len(wanted)]]
        said = [((m[1] or m[2]).upper(), m[3].strip()) for m in part if m is not None]
        if len(wanted) > 1 and said == [(k, text.strip()) for k, text in wanted]:
            note("the options stand in the question, too; they are listed once", row.place)
            return "\n".join(lines[:start] + lines[start + len(wanted) :]).strip()
    return question


class RightOptions:
    """Finds the letters of the right options, row after row."""

    def __init__(self) -> None:
        self._places: Counter[str] = Counter()
        self._first = ""

    def of(self, row: Row, answers: Sequence[str], options: RowOptions) -> tuple[str, ...]:
        """Returns the letters; () where an answer is none of the options, which a note says.

        Args:
            row: The row.
            answers: As it gives them: letters, texts, both, or places from 0.
            options: Its options.

        Raises:
            DataError: The answers are those of several people who disagree.
        """
        if len(answers) == 1:
            one = self._letter(row, answers[0], options)
            letters = (one,) if one else self._several(row, answers[0], options)
        else:
            letters = tuple(self._letter(row, answer, options) for answer in answers)
        if answers and not (letters and all(letters)):
            note_no_option(", ".join(answers), options.texts, row.place)
            return ()
        distinct = tuple(sorted(set(letters)))
        if 1 < len(distinct) < len(letters):
            count = ", ".join(f"{k} {n}x" for k, n in Counter(letters).most_common())
            raise DataError(
                f"{row.place}: the answers name options repeatedly ({count}), so they are several "
                "people's and not the set of right options; give one answer, or leave the options "
                "out and score by metric=vqa"
            )
        return distinct

    def finish(self) -> None:
        """Looks at the places that all rows together named.

        Raises:
            DataError: They count from 1: some are one beyond the last option, and none is 0.
        """
        seen = self._places
        if seen["beyond"] and seen["within"] and not seen["first"] and not seen["far"]:
            raise DataError(
                f"{self._first}: the answer is the number of options; no answer is 0, so places "
                "seem to count from 1, and are read from 0: give letters, or places from 0"
            )
        if seen["within"] and not seen["first"]:
            note("answers are numbers, read as places of options from 0, and none is 0")

    def _letter(self, row: Row, answer: str, options: RowOptions) -> str:
        """The letter of an option given as letter, text, both, or place; "" for none."""
        texts = options.texts
        same = [letter for letter, text in texts.items() if text == answer]
        named = options.names.get(answer.strip())
        if named and same and same != [named]:
            raise DataError(
                f"{row.place}: the answer {answer!r:.60} is the name of one option and the text of "
                f"another ({', '.join(f'{k}: {v!r:.30}' for k, v in texts.items())}): give a letter"
            )
        if named:
            return named
        bare = answer.strip(_AROUND)
        if bare in texts and (bare not in texts.values() or texts[bare] == bare):
            return bare
        if len(same) == 1:
            return same[0]
        if bare.upper() in texts:
            return bare.upper()
        both = _LABEL.fullmatch(answer) or re.fullmatch(r"()([A-Za-z])\s+(\S.*)", answer.strip())
        if both is not None:
            letter = (both[1] or both[2]).upper()
            if _alike(both[3], texts.get(letter, "")):
                return letter
        whole = bare.removesuffix(".0")
        if whole.isascii() and whole.isdigit() and len(whole) < 3:
            if whole in options.names:
                return options.names[whole]
            return self._place(row, int(whole), options)
        close = [k for k, text in texts.items() if _alike(text, bare)]
        if len(close) == 1:
            return close[0]
        rest = _LEAD.sub("", answer, count=1)
        return self._letter(row, rest, options) if rest and rest != answer else ""

    def _place(self, row: Row, place: int, options: RowOptions) -> str:
        if options.names and all(name.isdigit() for name in options.names):
            return ""  # numbered by themselves, and this number is none of theirs
        letter, beyond = letter_at(str(place)), LETTERS.index(max(options.texts)) + 1
        if place >= beyond:
            self._places["beyond" if place == beyond else "far"] += 1
            self._first = self._first or row.place
            return ""
        self._places["within" if place else "first"] += 1
        return letter if letter in options.texts else ""

    def _several(self, row: Row, answer: str, options: RowOptions) -> tuple[str, ...]:
        """The letters of "A, C", "A and C", "(A)(C)", "AC", "red, green"; () for anything else."""
        parts = [part for part in _BETWEEN.split(answer.strip()) if part.strip(_AROUND)]
        if len(parts) == 1:
            run = re.sub(r"[()\[\].\s]+", "", answer)
            parts = list(run) if run.isupper() else []
        letters = [self._letter(row, part, options) for part in parts]
        distinct = len(set(letters)) == len(letters) > 1
        return tuple(letters) if distinct and all(letters) else ()


def _alike(one: str, other: str) -> bool:
    return one.strip(_AROUND).casefold() == other.strip(_AROUND).casefold() != ""
