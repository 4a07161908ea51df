"""What the registrations of multiple-choice benchmarks share: options, letters, labelled rows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.registration.layouts import Layout, is_na
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
    """Returns the options of a row as texts; a list, or the text of a Python list.

    Raises:
        DataError: There are none, more than 26, or they are no texts.
    """
    value = row.need(*names)
    if isinstance(value, str):
        value = _literal(value, row.place)
    if not isinstance(value, list | tuple) or not value or len(value) > _MAX_OPTIONS:
        raise DataError(f"{row.place}: the options must be a list of texts, got {value!r:.80}")
    if any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in value):
        raise DataError(f"{row.place}: the options must be texts, got {value!r:.80}")
    return tuple(str(v) for v in value)


def _literal(text: str, place: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(f"{place}: the options are no list: {text[:80]!r}") from error


def by_letter(options: Sequence[str]) -> dict[str, str]:
    """Returns options in order under the letters A, B, ..."""
    return dict(zip(LETTERS, options, strict=False))


def right_letter(answer: Any, options: Mapping[str, str], place: str) -> tuple[str, ...]:
    """Returns a row's reference: the letter of its right option, given as a letter or an index.

    An answer that is none of the options is a fault of its row alone: the question is asked and not
    scored, and a note says so.

    Args:
        answer: A letter, a whole number from 0 (as a number or text), or "" or None where hidden.
        options: Texts by letter.
        place: File and row, for the note.
    """
    if answer is None or answer == "":
        return ()
    letters = list(options)
    text = str(answer).strip()
    if isinstance(answer, float) and answer.is_integer():
        text = str(int(answer))
    if text.isascii() and text.isdecimal() and len(text) < 3 and int(text) < len(letters):
        return (letters[int(text)],)
    if not isinstance(answer, bool) and text.upper() in letters:
        return (text.upper(),)
    note("the answer is none of the row's options, so the question is asked and not scored", place)
    return ()


def lettered(row: Row, columns: str = LETTERS) -> dict[str, str]:
    """Returns the options that a row holds in columns A, B, ...: every cell that is not empty.

    An option may say "None" or "NA": pandas would take it for no value and hide it.

    Raises:
        DataError: A cell is neither text nor a number.
    """
    found = _cells(row, columns)
    if any(is_na(text) for text in found.values()):
        note('an option that says "None", "NA" or the like is listed as it stands', row.place)
    return found


def pandas_lettered(row: Row, columns: str = LETTERS) -> dict[str, str]:
    """Returns the options as pandas reads them: without those that say "None", "NA" or the like.

    Raises:
        DataError: A cell is neither text nor a number.
    """
    found = _cells(row, columns)
    kept = {letter: text for letter, text in found.items() if not is_na(text)}
    if len(kept) < len(found):
        note(
            'an option that says "None", "NA" or the like is not listed, as the benchmark\'s own '
            "reader leaves it out",
            row.place,
        )
    return kept


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
