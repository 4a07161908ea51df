"""Turns rows of any common wording into samples: question, images, answers, options by letter.

What a row holds and no field list names is never passed over in silence: it is refused where the
question would change without it, and named in a note elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    LETTERS,
    NO_TEXT,
    letter_at,
    lettered,
    note_gaps,
    note_no_option,
    repeated,
)
from collavo.datasets.registration.generic_images import IMAGES, NUMBERED, RowImages
from collavo.datasets.registration.generic_turns import CONVERSATIONS, conversation_of
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.readers.tsv import is_na
from collavo.errors import DataError
from collavo.records import Sample

QUESTIONS = ("question", "text", "query", "prompt", "instruction", "problem")
ANSWERS = tuple(
    "answers answer label labels gt_answer gt_answers ground_truth reference references target "
    "solution".split()
)
IDS = ("question_id", "index", "id", "qid", "pid", "uid")
OPTIONS = ("options", "choices", "candidates", "multiple_choices")
CATEGORIES = ("category", "type", "task", "subject")
"""Fields that are looked for, the first one that is there wins; upper and lower case are alike."""

KEPT = frozenset(("hint", "split", "l2-category", "image_id", "width", "height"))
"""Further fields that pipelines and evaluators know of."""

COPY = 1_000_000
"""What VLMEvalKit adds to the index of a question whose options are rotated."""

_READ = (*QUESTIONS, *ANSWERS, *IDS, *OPTIONS, *CATEGORIES, *CONVERSATIONS)
_USED = frozenset((*_READ, *IMAGES, *LETTERS))
_ANY_CASE = (_USED | KEPT) - set(IDS) - set(LETTERS)
"""Fields that are known in upper and lower case; ids are the rows' numbers where none is exact."""

_LABEL = re.compile(r"\s*\(?([A-Za-z])(?:\)|[.:](?=\s|\S)|、)\s*(\S.*)", re.DOTALL)
"""An option or answer that brings its letter: "A. red", "(A) red", "A) red", "A: red"."""

_SEVERAL = re.compile(r"\s*(?:[,;/&+、]|\band\b)\s*|\s+", re.IGNORECASE)


def generic_samples(
    dataset: str,
    rows: Iterable[Row],
    folder: Path,
    image_root: Path | None,
    images: str = "refuse",
) -> list[Sample]:
    """Turns rows into samples.

    Args:
        dataset: What sample ids begin with.
        rows: VLMEvalKit's, or any with a question, an image and an answer (see the lists above;
            conversations serve, too).
        folder: Where the file lies: images are looked for there and in `images`.
        image_root: Where images are instead.
        images: One of `generic_images.CHOICES`.

    Raises:
        DataError: A row has no question, or a field of a kind that cannot be used.
    """
    found = RowImages(folder, image_root, images)
    unused: Counter[str] = Counter()
    samples = [_sample(dataset, k, _clean(row), found, unused) for k, row in enumerate(rows)]
    if unused:
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in unused.most_common(12))
        more = f" and {len(unused) - 12} more" if len(unused) > 12 else ""
        note(f"fields that are not used, with the rows that have them: {listed}{more}")
    return repeated(samples)


def _sample(dataset: str, number: int, row: Row, images: RowImages, unused: Counter[str]) -> Sample:
    said = conversation_of(row)
    if said is not None and said.images and not any(row.values.get(n) for n in IMAGES):
        row = Row(row.place, {**row.values, "images": list(said.images)})
    fields = images.fields(row, _READ)
    question = said.question if said else row.text(*QUESTIONS).replace("<image>", "").strip()
    answer_field = next((n for n in ANSWERS if row.values.get(n) is not None), None)
    given = said.answer if said else row.values.get(answer_field or "")
    options = _options(row)
    answers = _answers(row, given)
    if options:
        answers = _letters(row, answers, options, isinstance(given, list))
    key = _id(row, number)
    extra = {k: v for k, v in row.values.items() if k not in _USED and _keeps(v)}
    extra["image"] = images.name(row, fields)
    if options:
        extra["choices"] = options
    if isinstance(key, int):
        extra["group"] = str(key % COPY)
    category = next((n for n in CATEGORIES if row.values.get(n) not in (None, "")), None)
    text = None if said else next(n for n in QUESTIONS if row.values.get(n) is not None)
    taken = {text, answer_field, category, *fields, *options, *IDS, *OPTIONS, *KEPT, "image_path"}
    taken |= set(CONVERSATIONS) if said else set()
    unused.update(n for n, v in row.values.items() if n not in taken and v not in (None, "", []))
    return Sample(
        sample_id=f"{dataset}:{key}",
        images=images.of(row, fields),
        question=question,
        question_id=key,
        options=tuple(options.values()),
        answers=answers,
        category=_text(row, category, row.values[category]) if category else "",
        extra=extra,
    )


def _clean(row: Row) -> Row:
    """Takes NaN for no value, and known fields whatever their case."""
    values = {k: v for k, v in row.values.items() if not (isinstance(v, float) and v - v != 0)}
    for name in list(values):
        lower = name.lower()
        known = lower in _ANY_CASE or NUMBERED.fullmatch(lower)
        if name != lower and known and lower not in values:
            values[lower] = values.pop(name)
    return Row(row.place, values)


def _id(row: Row, number: int) -> str | int:
    present = [name for name in IDS if row.values.get(name) is not None]
    key = row.key(*present) if present else number
    if isinstance(key, str) and key.isascii() and key.isdigit() and str(int(key[:18])) == key:
        return int(key)
    return key


def _options(row: Row) -> dict[str, str]:
    """All options by letter, also those that say "None" or "NA"; empty where there are none."""
    value = next((row.values[n] for n in OPTIONS if row.values.get(n) is not None), None)
    if isinstance(value, str):
        value = _listed_options(row, value)
    if value is None:
        found = lettered(row)
        return _bare(found) if len(found) > 1 else {}
    if isinstance(value, Mapping):
        listed = {str(k).strip(): _text(row, "options", v) for k, v in value.items() if _is(v)}
        upper = {k.upper(): v for k, v in listed.items()}
        if len(upper) == len(listed) and all(k in LETTERS and len(k) == 1 for k in upper):
            note_gaps(upper, row.place)
            return _bare(dict(sorted(upper.items())))
        value = list(listed.values())
    if not isinstance(value, list | tuple) or len(value) > len(LETTERS):
        raise DataError(
            f"{row.place}: options must be at most {len(LETTERS)} texts, got {value!r:.80}"
        )
    texts = {
        letter: _text(row, "options", item)
        for letter, item in zip(LETTERS, value, strict=False)
        if _is(item) and item != ""
    }
    if len(texts) < len(value):
        note(NO_TEXT, row.place)
    return _bare(texts)


def _listed_options(row: Row, text: str) -> Any:
    """The options of a cell: a list that is written as text, or one a line; None for no value.

    Raises:
        DataError: It is neither.
    """
    if is_na(text.strip()):
        return None
    value = literal(text) if text.lstrip().startswith(("[", "{", "(")) else None
    if isinstance(value, list | tuple | Mapping):
        return value
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    raise DataError(
        f"{row.place}: the options are one text that is no list: {text!r:.80}; give a list, or one "
        "option a line"
    )


def _is(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and value - value != 0)


def _bare(options: dict[str, str]) -> dict[str, str]:
    """The options without the letters that all of them bring along."""
    found = {letter: _LABEL.fullmatch(text) for letter, text in options.items()}
    texts = {
        letter: match[2].strip()
        for letter, match in found.items()
        if match is not None and match[1].upper() == letter
    }
    return texts if len(texts) == len(options) > 1 else options


def _answers(row: Row, value: Any) -> tuple[str, ...]:
    """The references: a text, a list, the text of a list, or VQA's objects; () where hidden."""
    if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
        listed = literal(value)
        value = listed if isinstance(listed, list) else value
    if value is None or value == "" or value == []:
        return ()
    values = value if isinstance(value, list | tuple) else [value]
    values = [v["answer"] if isinstance(v, Mapping) and "answer" in v else v for v in values]
    return tuple(
        ("yes" if v else "no") if isinstance(v, bool) else _text(row, "answer", v)
        for v in values
        if _is(v)
    )


def _letters(
    row: Row, answers: tuple[str, ...], options: Mapping[str, str], listed: bool
) -> tuple[str, ...]:
    """The letters of the right options; () where one is none of them, which a note says."""
    if len(answers) == 1:
        one = _letter(answers[0], options)
        letters = (one,) if one else _several(answers[0], options)
    else:
        letters = tuple(_letter(answer, options) for answer in answers)
    if answers and not (letters and all(letters)):
        note_no_option(", ".join(answers), options, row.place)
        return ()
    return tuple(dict.fromkeys(letters))


def _letter(answer: str, options: Mapping[str, str]) -> str:
    """The letter of an option given as letter, text, both, or index from 0; "" for none."""
    same = [letter for letter, text in options.items() if text == answer]
    bare = answer.strip().strip("().").strip()
    if bare in options and (bare not in options.values() or options[bare] == bare):
        return bare
    if len(same) == 1:
        return same[0]
    if bare.upper() in options:
        return bare.upper()
    both = _LABEL.fullmatch(answer)
    if both is not None and both[1].upper() in options:
        letter = both[1].upper()
        if both[2].strip().casefold() == options[letter].strip().casefold():
            return letter
    if letter_at(bare.removesuffix(".0")) in options:
        return letter_at(bare.removesuffix(".0"))
    close = [k for k, text in options.items() if text.strip().casefold() == bare.casefold()]
    return close[0] if len(close) == 1 else ""


def _several(answer: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """The letters of "A, C", "A and C" or "AC"; () where it is something else."""
    parts = [part.strip("().[]'\" ") for part in _SEVERAL.split(answer.strip())]
    if len(parts) == 1 and answer.strip().isupper():
        parts = list(answer.strip())
    letters = tuple(part.upper() for part in parts if part)
    distinct = len(set(letters)) == len(letters) > 1
    return letters if distinct and all(letter in options for letter in letters) else ()


def _text(row: Row, field: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{row.place}: {field!r} must be text, got {value!r:.80}")
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)


def _keeps(value: Any) -> bool:
    """Whether a further field can stand in a record: texts, numbers, and lists of them."""
    if isinstance(value, list):
        return all(isinstance(v, str | int | float | None) for v in value)
    return value is not None and isinstance(value, str | int | float)
