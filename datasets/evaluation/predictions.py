"""Reads files of stored answers: ours, LLaVA's, lmms-eval's logs, VLMEvalKit's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.graded import composite_id, judged_fields
from collavo.datasets.evaluation.result_files import result_rows
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.text import read_bytes
from collavo.datasets.registration.readers.tsv import tsv_rows
from collavo.errors import DataError

_IDS = ("question_id", "questionId", "index", "id", "qid", "pid")
_ANSWERS = ("response", "model_prediction", "prediction", "answer", "output", "text")
"""`answer` and `prediction` stand behind what benchmarks call a response: there they are others."""
_QUESTIONS = ("question", "prompt")
_IMAGES = ("image", "image_path", "image_source", "file_name", "img_path")
_CATEGORIES = ("category", "split", "task")
_LOGGED = (*_IDS, "category")
"""What is taken from the records of lmms-eval's metrics."""


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


def read_predictions(path: Path) -> list[Prediction]:
    """Reads a file of answers.

    JSON lines or an array of rows (`question_id` and `answer`, or LLaVA's `text`; or our
    predictions.jsonl), LLaVA's results of ScienceQA, CoLLaVO's of Q-Bench, an object
    `{id: answer}` or `{id: row}`, lmms-eval's sample logs,
    VLMEvalKit's xlsx and tsv, and the files of the judges of MM-Vet, LLaVA-Bench and MathVista.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken, or a row has no answer field; the message names the row.
    """
    if path.is_dir():
        raise DataError(
            f"{path} is a folder; give the file of answers (or, for MME, a folder of the official "
            "result files existence.txt, count.txt, ...)"
        )
    if read_bytes(path).startswith(b"PK\x03\x04"):
        from collavo.datasets.evaluation.xlsx import read_xlsx

        return [found for row in read_xlsx(path) for found in _from_table(row)]
    if path.suffix.lower() == ".tsv":
        return [found for row in tsv_rows(path) for found in _from_table(_without_images(row))]
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} holds no answers")
    return [_from_log(row) if _is_log(row) else _from_row(row) for row in rows]


def _without_images(row: Row) -> Row:
    return Row(row.place, {k: v for k, v in row.values.items() if isinstance(v, str | None)})


def _rows(path: Path) -> Iterator[Row]:
    rows = result_rows(path) or read_rows(path)
    if len(rows) == 1 and not any(name in rows[0].values for name in (*_IDS, "sample_id", "doc")):
        values = rows[0].values
        if isinstance(values.get("logs"), list):  # an older file of lmms-eval
            for number, log in enumerate(values["logs"], start=1):
                if isinstance(log, Mapping):
                    yield Row(f"{path}, log {number}", log)
            return
        if values and all(isinstance(v, str) for v in values.values()):
            for key, answer in values.items():
                yield Row(f"{path}, entry {key!r}", {"question_id": key, "answer": answer})
            return
        if values and all(isinstance(v, Mapping) for v in values.values()):
            for key, fields in values.items():
                yield Row(f"{path}, entry {key!r}", {**fields, "question_id": key})
            return
    yield from rows


def _from_row(row: Row) -> Prediction:
    present = [name for name in _ANSWERS if name in row.values]
    if not present and judged_fields(row.values):
        return _prediction(row, "")  # a file of grades holds no answers
    if not present:
        row.need("answer", "text")
    value = row.values[present[0]]
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise DataError(
            f"{row.place}: field {present[0]!r} must be text, got {type(value).__name__}"
        )
    return _prediction(row, value if value is None else str(value))


def _prediction(row: Row, answer: str | None) -> Prediction:
    ids = [name for name in _IDS if row.values.get(name) is not None]
    categories = [row.values.get(name) for name in _CATEGORIES]
    return Prediction(
        place=row.place,
        answer=answer,
        sample_id=_text(row.values.get("sample_id")),
        question_id=composite_id(row.values) or (str(row.key(ids[0])).strip() if ids else ""),
        question=next((_text(row.values.get(x)) for x in _QUESTIONS if row.values.get(x)), ""),
        image=next((_text(row.values.get(x)) for x in _IMAGES if row.values.get(x)), ""),
        categories=tuple(x for x in categories if isinstance(x, str) and x),
        judged=judged_fields(row.values),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_log(row: Row) -> bool:
    return "filtered_resps" in row.values or "resps" in row.values


def _from_log(row: Row) -> Prediction:
    """Reads one row of lmms-eval's sample log, which keeps the dataset's fields in `doc`."""
    answer: Any = row.values.get("filtered_resps", row.values.get("resps"))
    while isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, str):
        raise DataError(f"{row.place}: 'filtered_resps' holds no text")
    fields: dict[str, Any] = {}
    for value in row.values.values():  # the metrics' own records hold ids, too
        if isinstance(value, Mapping):
            ids = {k: v for k, v in value.items() if k in _LOGGED and isinstance(v, str | int)}
            fields = ids | fields
    if isinstance(row.values.get("input"), str):
        fields["prompt"] = row.values["input"]
    doc = row.values.get("doc")
    if isinstance(doc, Mapping):
        fields |= doc
    number = row.values.get("doc_id")
    found = _prediction(Row(row.place, fields), answer)
    return replace(found, position=number) if type(number) is int else found


def _from_table(row: Row) -> Iterator[Prediction]:
    """Reads one row of a VLMEvalKit table; a category list means one question of several splits."""
    if "prediction" not in row.values:
        row.need("prediction")
    answer = row.values["prediction"]
    category = _text(row.values.get("category"))
    for part in category.split(",") if category else [""]:
        values = {**row.values, "category": part.strip()}
        # An empty cell is an empty answer.
        yield _prediction(Row(row.place, values), "" if answer is None else str(answer))
