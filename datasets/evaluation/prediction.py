"""One stored answer, and what its row says about the question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collavo.datasets.evaluation.graded import composite_id, judged_fields
from collavo.datasets.registration.readers.rows import Row

IDS = ("question_id", "questionId", "index", "id", "qid", "pid", "uid", "custom_id")
_QUESTIONS = ("question", "prompt")
_IMAGES = ("image", "image_path", "image_source", "file_name", "img_path")
_CATEGORIES = ("category", "split", "task")


@dataclass(frozen=True)
class Prediction:
    """One stored answer, and what its row says about the question.

    Args:
        place: File and row, for messages.
        answer: The raw text; None where the row says that there is none.
        sample_id: Ours, where the row has it.
        question_id: The benchmark's, as text.
        question: The question or the whole prompt.
        image: The image's name or path.
        categories: What the row gives as category, split or task.
        position: The number of the question in its file, from 0, where a log gives it.
        judged: What the row holds of earlier judgements; see `graded`.
    """

    place: str
    answer: str | None
    sample_id: str = ""
    question_id: str = ""
    question: str = ""
    image: str = ""
    categories: tuple[str, ...] = ()
    position: int | None = None
    judged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How messages call it."""
        keys = [self.sample_id or self.question_id, *self.categories, self.image]
        return " ".join(repr(key) for key in keys if key) or repr(self.question[:60])


def prediction_of(row: Row, answer: str | None, question: str = "") -> Prediction:
    """Makes the prediction of a row.

    Args:
        row: The row.
        answer: The model's text in it.
        question: A further field that holds the question where the usual ones do not.

    Raises:
        DataError: Its id is neither text nor a whole number.
    """
    ids = [name for name in IDS if row.values.get(name) is not None]
    questions = (*_QUESTIONS, question)
    categories = [row.values.get(name) for name in _CATEGORIES]
    return Prediction(
        place=row.place,
        answer=answer,
        sample_id=_text(row.values.get("sample_id")),
        question_id=composite_id(row.values) or (str(row.key(ids[0])).strip() if ids else ""),
        question=next((_text(row.values.get(x)) for x in questions if row.values.get(x)), ""),
        image=next((_text(row.values.get(x)) for x in _IMAGES if row.values.get(x)), ""),
        categories=tuple(x for x in categories if isinstance(x, str) and x),
        judged=judged_fields(row.values),
    )


def fields_used(row: Row) -> set[str]:
    """Names the fields of a row that tell its question, or an earlier judgement."""
    told = {"sample_id", *IDS, *_QUESTIONS, *_IMAGES, *_CATEGORIES}
    return told | set(judged_fields(row.values))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
