"""What the registrations of multiple-choice benchmarks share: options, letters, labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.registration.layouts import Layout, is_na
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.roots import image_ref
from collavo.errors import DataError
from collavo.records import ImageRef, Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

ANNOTATIONS = ("annotations.jsonl", "annotations.json")
"""Labelled rows without more: enough to score answers."""

COLLAVO = "arXiv:2402.11248, Table 1"
XMODEL = "arXiv:2405.09215"
CODEFUSE = "codefuse-ai/CodeFuse-MFT-VLM README"
MMFUSER = "arXiv:2410.11829"
CONVLLAVA = "arXiv:2405.15738"

NO_TEXT = "an option without text is left out, the others keep their letters"
"""A note of readers."""

_MAX_OPTIONS = len(LETTERS)


def published(
    metric: str, unit: str, figures: Sequence[tuple[str, float, str]]
) -> list[dict[str, Any]]:
    """Words published figures for a dataset's metadata.

    Args:
        metric: Which of our figures they compare with.
        unit: Its unit.
        figures: Model, value and source of each.
    """
    return [
        {"model": model, "metric": metric, "value": value, "unit": unit, "source": source}
        for model, value, source in figures
    ]


def first_file(*names: str) -> Callable[[Path], Path | None]:
    """Returns a finder of the first of some files in a folder."""

    def find(folder: Path) -> Path | None:
        return next((folder / name for name in names if (folder / name).is_file()), None)

    return find


def annotations_layout(to_samples: Callable[[Sequence[Row]], Iterable[Sample]]) -> Layout:
    """Describes labelled rows in `annotations.jsonl`, which are read last."""
    return Layout(
        "annotations",
        first_file(*ANNOTATIONS),
        lambda file: to_samples(read_rows(file)),
        " or ".join(ANNOTATIONS),
    )


def texts_of(row: Row, *names: str) -> tuple[str, ...]:
    """Returns the options of a row as texts; a list, or the text of one.

    Raises:
        DataError: There are none, more than 26, or they are no texts.
    """
    value = row.need(*names)
    if isinstance(value, str):
        value = literal(value)
        if value is None:
            raise DataError(f"{row.place}: the options are no list: {row.need(*names)!r:.80}")
    if not isinstance(value, list | tuple) or not value or len(value) > _MAX_OPTIONS:
        raise DataError(f"{row.place}: the options must be a list of texts, got {value!r:.80}")
    if any(isinstance(v, bool) or not isinstance(v, str | int | float | None) for v in value):
        raise DataError(f"{row.place}: the options must be texts, got {value!r:.80}")
    if None in value:
        note('a null option is listed as "None", as the authors\' code prints it', row.place)
    return tuple(str(v) for v in value)


def by_letter(options: Sequence[str]) -> dict[str, str]:
    """Returns options in order under the letters A, B, ..."""
    return dict(zip(LETTERS, options, strict=False))


def right_letter(answer: Any, options: Mapping[str, str], place: str) -> tuple[str, ...]:
    """Returns a row's reference: the letter of its right option, given as a letter or an index.

    An answer that is none of the options is a fault of its row alone: the question is asked and not
    scored, and a note says so.

    Args:
        answer: A letter, a whole number from 0 (as a number or text), or "" or None where hidden.
        options: Texts by letter; where an option has no text, its letter is not there.
        place: File and row, for the note.
    """
    if answer is None or answer == "":
        return ()
    text = str(answer).strip()
    if isinstance(answer, float) and answer.is_integer():
        text = str(int(answer))
    letter = letter_at(text) or ("" if isinstance(answer, bool) else text.upper())
    if letter in options:
        return (letter,)
    note_no_option(text, options, place)
    return ()


def letter_at(index: str) -> str:
    """The letter of a place from 0, which is given as text; "" where it is no such place."""
    place = index.isascii() and index.isdecimal() and len(index) < 3
    return LETTERS[int(index)] if place and int(index) < len(LETTERS) else ""


def note_no_option(answer: str, options: Iterable[str], place: str) -> None:
    """Notes the fault of a row whose answer cannot be chosen."""
    note(
        "the answer is none of the row's options, so the question is asked and not scored",
        f"{place}: {answer!r:.60} of {', '.join(options)}",
    )


def note_gaps(options: Iterable[str], place: str) -> None:
    """Notes that a row's options do not follow each other: one before others has no text."""
    letters = "".join(sorted(options))
    if letters != LETTERS[: len(letters)]:
        note(NO_TEXT, place)


def lettered(row: Row, columns: str = LETTERS) -> dict[str, str]:
    """Returns the options that a row holds in columns A, B, ...: every cell that is not empty.

    An option may say "None" or "NA": pandas would take it for no value and hide it.

    Raises:
        DataError: A cell is neither text nor a number.
    """
    found = _cells(row, columns)
    if any(map(_says_none, found.values())):
        note('an option that says "None", "NA" or the like is listed as it stands', row.place)
    note_gaps(found, row.place)
    return found


def pandas_lettered(row: Row, columns: str = LETTERS) -> dict[str, str]:
    """Returns the options as pandas reads them: without those that say "None", "NA" or the like.

    Raises:
        DataError: A cell is neither text nor a number.
    """
    found = _cells(row, columns)
    if any(map(_says_none, found.values())):
        note(
            'an option says "None", "NA" or the like: there the benchmark\'s own readers end the '
            "list (PROMPT.STYLE clean lists all)",
            row.place,
        )
    return {letter: text for letter, text in found.items() if not is_na(text)}


def _says_none(text: str) -> bool:
    return is_na(text) or text.lower() in ("none", "nan")


def _cells(row: Row, columns: str) -> dict[str, str]:
    found = {}
    for letter in columns:
        value = row.values.get(letter)
        if value is None or value != value or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(f"{row.place}: option {letter} must be text, got {value!r:.80}")
        found[letter] = str(value)
    return found


def optional_text(row: Row, *names: str) -> str:
    """Returns the first of the fields that holds text which pandas would not take for no value."""
    for name in names:
        value = row.values.get(name)
        if isinstance(value, str) and not is_na(value):
            return value
    return ""


def image_in(folders: Sequence[Path], name: str, place: str) -> ImageRef:
    """Refers to an image in the first of the folders that is there.

    Raises:
        DataError: The path is empty or leaves the folder.
    """
    folder = next((f for f in folders if f.is_dir()), folders[0])
    return image_ref(folder, name, place)


def repeated(samples: Iterable[Sample]) -> list[Sample]:
    """Gives the second sample of an id "#2" behind it, and so on."""
    seen: dict[str, int] = {}
    found = []
    for sample in samples:
        number = seen[sample.sample_id] = seen.get(sample.sample_id, 0) + 1
        if number > 1:
            named: Mapping[str, Any] = vars(sample)
            sample = Sample(**{**named, "sample_id": f"{sample.sample_id}#{number}"})
        found.append(sample)
    return found
