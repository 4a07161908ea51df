"""Turns rows of any common wording into samples: question, image, answers, options by letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import LETTERS, lettered, repeated
from collavo.datasets.registration.readers.cells import (
    NoCell,
    cell_ref,
    cell_refs,
    decode_base64,
)
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.readers.tsv import literal
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

QUESTIONS = ("question", "text", "query", "prompt", "instruction")
ANSWERS = ("answers", "answer", "label", "labels", "gt_answer", "reference", "references", "target")
IDS = ("question_id", "index", "id", "qid", "pid", "uid")
OPTIONS = ("options", "choices", "candidates")
IMAGES = ("image", "images", "image_path", "img_path", "file_name", "imgname", "image_file")
CATEGORIES = ("category", "type", "task", "subject")
"""Fields that are looked for, the first one that is there wins."""

_BASE64 = 256
"""Characters from which on a text in `image` is an encoded image and no path."""

_USED = frozenset(("conversations", *QUESTIONS, *ANSWERS, *IDS, *OPTIONS, *IMAGES, *LETTERS))


def generic_samples(
    dataset: str, rows: Iterable[Row], folder: Path, image_root: Path | None
) -> list[Sample]:
    """Turns rows into samples.

    Args:
        dataset: What sample ids begin with.
        rows: VLMEvalKit's, or any with a question, an image and an answer (see the lists above;
            LLaVA's `conversations` serve, too).
        folder: Where the file lies: images are looked for there and in `images`.
        image_root: Where images are instead.

    Raises:
        DataError: A row has no question, or a field of a kind that cannot be used.
    """
    images = _Images(folder, image_root)
    samples = [_sample(dataset, number, row, images) for number, row in enumerate(rows)]
    return repeated(samples)


def _sample(dataset: str, number: int, row: Row, images: _Images) -> Sample:
    said = _conversation(row)
    question = (said[0] if said else row.text(*QUESTIONS)).replace("<image>", "").strip()
    given = next((row.values[n] for n in ANSWERS if row.values.get(n) is not None), None)
    written = _options(row)
    answers = _answers(row, said[1] if said else given)
    options = lettered(row) if not _listed_options(row) else written
    if written:
        answers = tuple(_letter(row, answer, written) for answer in answers)
        if any(letter not in options for letter in answers):
            options = written  # an option that says "None" is one if it is the answer
    key = _id(row, number)
    extra = {k: v for k, v in row.values.items() if k not in _USED and _keeps(v)}
    extra["image"] = images.name(row)
    if written:
        extra |= {"choices": options, "written": written}
    if isinstance(key, int):
        extra["group"] = str(key % 1_000_000)
    return Sample(
        sample_id=f"{dataset}:{key}",
        images=one_image(images.of(row)),
        question=question,
        question_id=key,
        options=tuple(options.values()),
        answers=answers,
        category=next((str(row.values[n]) for n in CATEGORIES if row.values.get(n)), ""),
        extra=extra,
    )


def _id(row: Row, number: int) -> str | int:
    present = [name for name in IDS if row.values.get(name) is not None]
    key = row.key(*present) if present else number
    if isinstance(key, str) and key.isascii() and key.isdigit() and str(int(key[:18])) == key:
        return int(key)
    return key


def _conversation(row: Row) -> tuple[str, str | None] | None:
    """The first question and answer of LLaVA's `conversations`, None where there are none."""
    turns = row.values.get("conversations")
    if turns is None:
        return None
    if not isinstance(turns, list) or not turns or not all(isinstance(t, Mapping) for t in turns):
        raise DataError(f"{row.place}: 'conversations' must be a list of turns")
    texts = [turn.get("value") for turn in turns[:2]]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{row.place}: a turn of 'conversations' has no text in 'value'")
    return str(texts[0]), str(texts[1]) if len(texts) > 1 else None


def _listed_options(row: Row) -> Any:
    return next((row.values[n] for n in OPTIONS if row.values.get(n) is not None), None)


def _options(row: Row) -> dict[str, str]:
    """All options by letter, also those that say "None" or "NA"; empty where there are none."""
    value = _listed_options(row)
    if isinstance(value, str):
        value = literal(value) if value.startswith(("[", "{", "(")) else value.splitlines()
    if value is None:
        columns = {letter: row.values.get(letter) for letter in LETTERS}
        found = {k: _text(row, k, v) for k, v in columns.items() if v is not None and v != ""}
        return found if len(found) > 1 else {}
    if isinstance(value, Mapping):
        return {str(k): _text(row, "options", v) for k, v in value.items()}
    if not isinstance(value, list | tuple) or len(value) > len(LETTERS):
        raise DataError(
            f"{row.place}: options must be at most {len(LETTERS)} texts, got {value!r:.80}"
        )
    return dict(zip(LETTERS, (_text(row, "options", v) for v in value), strict=False))


def _answers(row: Row, value: Any) -> tuple[str, ...]:
    """The references: a text, a list, the text of a list, or VQA's objects; () where hidden."""
    if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
        listed = literal(value)
        value = listed if isinstance(listed, list) else value
    if value is None or value == "" or value == []:
        return ()
    values = value if isinstance(value, list | tuple) else [value]
    values = [v.get("answer") if isinstance(v, Mapping) else v for v in values]
    return tuple(
        ("yes" if v else "no") if isinstance(v, bool) else _text(row, "answer", v) for v in values
    )


def _letter(row: Row, answer: str, options: Mapping[str, str]) -> str:
    """The letter of the right option, which is given as letter, text or index from 0."""
    same = [letter for letter, text in options.items() if text == answer]
    bare = answer.strip().strip("().").strip()
    if bare in options and (bare not in options.values() or options[bare] == bare):
        return bare
    if len(same) == 1:
        return same[0]
    if bare.upper() in options:
        return bare.upper()
    whole = bare.removesuffix(".0")
    if whole.isascii() and whole.isdigit() and len(whole) < 3 and int(whole) < len(options):
        return list(options)[int(whole)]
    raise DataError(
        f"{row.place}: the answer {answer!r:.60} is none of the options "
        f"{', '.join(f'{k}: {v!r:.30}' for k, v in list(options.items())[:8])}"
    )


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


@dataclass(frozen=True)
class _Encoded:
    """A base64 image that a JSON row holds."""

    text: str
    place: str

    def __call__(self) -> bytes:
        return decode_base64(self.text.encode("ascii", "replace"), self.place)


class _Images:
    """Finds the images of rows; one name, one reference."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self._folder, self._root = folder, root
        self._refs: dict[str, ImageRef] = {}

    def name(self, row: Row) -> str:
        """The image's file name, "" where the row has none."""
        names = (row.values.get(n) for n in ("image_path", *IMAGES))
        found = next((n for n in names if isinstance(n, str) and len(n) < _BASE64), "")
        return "" if found.startswith("[") else found

    def of(self, row: Row) -> ImageRef | None:
        """The image of a row, or None.

        Raises:
            DataError: The row has an image of a kind that cannot be used.
        """
        value = next((row.values[n] for n in IMAGES if row.values.get(n) is not None), None)
        if isinstance(value, ImageRef):
            # a table without any image asks without
            return None if isinstance(value.cell, NoCell) and value.cell.whole else value
        if isinstance(value, tuple) or (isinstance(value, list) and _are_refs(value)):
            return cell_ref(row, *(n for n in IMAGES if cell_refs(row, n)))
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise DataError(f"{row.place}: the image must be a path or base64, got {value!r:.80}")
        if value[:5].lower() == "data:" or len(value) >= _BASE64:
            return ImageRef(cell=_Encoded(value, row.place), name=f"{row.place}, image")
        if value not in self._refs:
            self._refs[value] = self._file(value, row.place)
        return self._refs[value]

    def _file(self, name: str, place: str) -> ImageRef:
        if name.startswith(("http://", "https://")):
            raise DataError(f"{place}: images are not downloaded: {name!r:.80}; name a file")
        if "\0" in name:
            raise DataError(f"{place}: {name!r:.80} is no image path")
        if self._root is None and Path(name).is_absolute():
            return ImageRef(path=Path(name))
        root = self._root or self._found_root(name)
        try:
            return ImageRef(path=root / name, root=root)
        except ValueError as error:
            raise DataError(f"{place}: {error}; say ?image_root=<its folder>") from error

    def _found_root(self, name: str) -> Path:
        """The folder of all images: the file's own or `images` beside it."""
        places = (self._folder, self._folder / "images")
        return next((place for place in places if (place / name).is_file()), self._folder)


def _are_refs(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, ImageRef) for v in values)
