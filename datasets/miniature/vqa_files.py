"""Writes question and annotation files in the format of VQA, and makes up its ten annotators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.questions import Asked

ANNOTATORS = 10


@dataclass(frozen=True)
class VqaRow:
    """One question.

    Args:
        image_id: COCO's number of the image.
        number: Of the question on its image, from 0.
        asked: The question.
        question_type: The group that the organisers count it to.
        answers: The ten annotators' answers.
    """

    image_id: int
    number: int
    asked: Asked
    question_type: str
    answers: tuple[str, ...]

    @property
    def question_id(self) -> int:
        """The image's number followed by three digits, as VQA has it."""
        return 1000 * self.image_id + self.number


def ten_answers(asked: Asked, dice: Dice) -> tuple[str, ...]:
    """Makes up ten annotators, of whom up to two are wrong."""
    wrong = [dice.choice(asked.wrong) for _ in range(dice.integer(0, 2))]
    return tuple(dice.shuffled([*wrong, *[asked.answer] * (ANNOTATORS - len(wrong))]))


def with_confidence(answers: Sequence[str]) -> list[dict[str, str]]:
    """Answers as the annotation files list them."""
    return [{"answer": answer, "answer_confidence": "yes"} for answer in answers]


def answer_type(answer: str) -> str:
    """VQA's three kinds of answers."""
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdecimal() else "other"


def write_questions(path: Path, subtype: str, rows: Iterable[VqaRow]) -> None:
    """Writes a question file."""
    questions = [
        {"image_id": row.image_id, "question": row.asked.text, "question_id": row.question_id}
        for row in rows
    ]
    write_json(path, {**_head(subtype), "task_type": "Open-Ended", "questions": questions})


def write_annotations(path: Path, subtype: str, rows: Iterable[VqaRow], raw: bool = False) -> None:
    """Writes an annotation file; `raw` answers besides the plain ones are OK-VQA's."""
    annotations = []
    for row in rows:
        answers = [
            {**answer, **({"raw_answer": answer["answer"]} if raw else {}), "answer_id": k + 1}
            for k, answer in enumerate(with_confidence(row.answers))
        ]
        annotations.append(
            {
                "question_type": row.question_type,
                **({} if raw else {"multiple_choice_answer": row.asked.answer}),
                "answers": answers,
                "image_id": row.image_id,
                "answer_type": "other" if raw else answer_type(row.asked.answer),
                "question_id": row.question_id,
            }
        )
    write_json(path, {**_head(subtype), "annotations": annotations})


def _head(subtype: str) -> dict[str, object]:
    return {
        "info": {"description": "Questions about procedural scenes"},
        "data_type": "mscoco",
        "data_subtype": subtype,
    }
