"""Turns rows of any common wording into samples: question, images, answers, options by letter.

What a row holds and no field list names is never passed over in silence: it is refused where the
question would change without it, and named in a note elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import LETTERS, repeated
from collavo.datasets.registration.generic_choices import (
    OPTIONS,
    RightOptions,
    holds,
    options_of_row,
    text_of,
    without_options,
)
from collavo.datasets.registration.generic_images import IMAGES, NUMBERED, RowImages
from collavo.datasets.registration.generic_turns import (
    CONVERSATIONS,
    conversation_field,
    conversation_of,
)
from collavo.datasets.registration.readers.cells import NoCell
from collavo.datasets.registration.readers.literals import listed
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row
from collavo.records import ImageRef, Sample

QUESTIONS = ("question", "text", "query", "prompt", "instruction", "problem")
ANSWERS = tuple(
    "answers answer label labels gt_answer gt_answers gt gold gold_answer correct_answer "
    "correct_option ground_truth reference references target solution answer_index "
    "answer_idx".split()
)
IDS = ("question_id", "index", "id", "qid", "pid", "uid")
CATEGORIES = ("category", "type", "task", "subject")
"""Fields that are looked for, in any case; the first that holds something wins."""

KEPT = frozenset(("hint", "split", "l2-category", "image_id", "width", "height"))
"""Further fields that pipelines and evaluators know of."""

COPY = 1_000_000
"""What VLMEvalKit adds to the index of a question whose options are rotated."""

_READ = (*QUESTIONS, *ANSWERS, *IDS, *OPTIONS, *CATEGORIES, *CONVERSATIONS)
_USED = frozenset((*_READ, *IMAGES, *LETTERS))
_ANY_CASE = (_USED | KEPT) - set(IDS) - set(LETTERS)
"""Fields that are known in upper and lower case; ids are the rows' numbers where none is exact."""


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
    reading = _Reading(dataset, RowImages(folder, image_root, images))
    samples = [reading.sample(number, _clean(row)) for number, row in enumerate(rows)]
    reading.finish(asked_blind=images == "none")
    return repeated(samples)


class _Reading:
    """Turns the rows of one dataset into samples, and notes what all of them leave aside.

    Args:
        dataset: What sample ids begin with.
        images: Finds the rows' images.
    """

    def __init__(self, dataset: str, images: RowImages) -> None:
        self._dataset, self._images = dataset, images
        self._right = RightOptions()
        self._unused: Counter[str] = Counter()
        self._blind: list[str] = []

    def sample(self, number: int, row: Row) -> Sample:
        """Turns a row into a sample.

        Args:
            number: Its place in the dataset, the id where it has none.
            row: The row.

        Raises:
            DataError: It has no question, or a field of a kind that cannot be used.
        """
        said = conversation_of(row)
        if said is not None and said.images:
            row = _with_images(row, said.images)
        fields = self._images.fields(row, _READ)
        images = self._images.of(row, fields)
        asked = None if said else _first(row, QUESTIONS)
        # rows of labels alone have the question "", which serves to score
        text = said.question if said else row.text(*([asked] if asked else QUESTIONS))
        self._images.check_tags(
            row, text, said.tags if said else text.count("<image>"), len(images)
        )
        options = options_of_row(row)
        question = without_options(row, text.replace("<image>", "").strip(), options.texts)
        # a conversation that ends with the question leaves its answer to the other fields
        answered = None if said and said.answer is not None else _first(row, ANSWERS)
        given = row.values[answered] if answered else said.answer if said else None
        answers = _answers(row, given)
        if options.texts:
            answers = self._right.of(row, answers, options)
        key = _id(row, number)
        category, kind = _category(row)
        if not images:
            self._blind.append(row.place)
        extra = {k: v for k, v in row.values.items() if k not in _USED and _keeps(v)}
        extra["image"] = self._images.name(row, fields)
        if options.texts:
            extra["choices"] = dict(options.texts)
        if isinstance(key, int):
            extra["group"] = str(key % COPY)
        talk = conversation_field(row) if said else None
        taken = {asked, answered, kind, talk, *fields, *options.fields, *IDS, *KEPT, "image_path"}
        self._unused.update(n for n, v in row.values.items() if n not in taken and holds(v))
        return Sample(
            sample_id=f"{self._dataset}:{key}",
            images=images,
            question=question,
            question_id=key,
            options=tuple(options.texts.values()),
            answers=answers,
            category=category,
            extra=extra,
        )

    def finish(self, asked_blind: bool) -> None:
        """Notes what all rows leave aside, and looks at their answers together.

        Args:
            asked_blind: Whether the questions are meant to be asked without images.

        Raises:
            DataError: The answers count options from 1.
        """
        self._right.finish()
        for place in () if asked_blind else self._blind:
            note("the question has no image", place)
        if self._unused:
            most = self._unused.most_common(12)
            named = ", ".join(f"{name!r} ({count:,})" for name, count in most)
            more = f" and {len(self._unused) - 12} more" if len(self._unused) > 12 else ""
            note(f"fields that are not used, with the rows that have them: {named}{more}")


def _first(row: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if holds(row.values.get(name))), None)


def _with_images(row: Row, images: tuple[Any, ...]) -> Row:
    """The row with the images that its conversation names, unless a field of its own has them."""
    if any(holds(row.values.get(name)) for name in IMAGES):
        note("images stand in a field and in the turns; those of the field are shown", row.place)
        return row
    return Row(row.place, {**row.values, "images": list(images)})


def _category(row: Row) -> tuple[str, str | None]:
    """A row's category, a text, a number or a list of them, and its field."""
    for name in CATEGORIES:
        value = row.values.get(name)
        parts = value if isinstance(value, list | tuple) else [value]
        if holds(value) and all(isinstance(v, str | int | float) for v in parts):
            texts = [str(v) if isinstance(v, bool) else text_of(row, name, v) for v in parts]
            return ", ".join(texts), name
    return "", None


def _clean(row: Row) -> Row:
    """Takes NaN for no value, and known fields whatever their case."""
    values = {k: v for k, v in row.values.items() if not _is_none(v)}
    for name in list(values):
        lower = name.lower()
        known = lower in _ANY_CASE or NUMBERED.fullmatch(lower)
        if name != lower and known and lower not in values:
            values[lower] = values.pop(name)
    return Row(row.place, values)


def _is_none(value: Any) -> bool:
    if isinstance(value, ImageRef):  # of a table without any image column
        return isinstance(value.cell, NoCell) and value.cell.whole
    return isinstance(value, float) and not holds(value)


def _id(row: Row, number: int) -> str | int:
    present = [name for name in IDS if row.values.get(name) is not None]
    key = row.key(*present) if present else number
    if isinstance(key, str) and key.isascii() and key.isdigit() and str(int(key[:18])) == key:
        return int(key)
    return key


def _answers(row: Row, value: Any) -> tuple[str, ...]:
    """The references: a text, a list, the text of a list, or VQA's objects; () where hidden."""
    value = listed(value)
    if value is None or value == "" or value == []:
        return ()
    values = value if isinstance(value, list | tuple) else [value]
    values = [v["answer"] if isinstance(v, Mapping) and "answer" in v else v for v in values]
    return tuple(
        ("yes" if v else "no") if isinstance(v, bool) else text_of(row, "answer", v)
        for v in values
        if holds(v)
    )


def _keeps(value: Any) -> bool:
    """Whether a further field can stand in a record: texts, numbers, and lists of them."""
    if isinstance(value, list):
        return all(isinstance(v, str | int | float | None) for v in value)
    return value is not None and isinstance(value, str | int | float)
