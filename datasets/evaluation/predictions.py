"""Reads files of stored answers: ours, LLaVA's, lmms-eval's logs, VLMEvalKit's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answer_choice import Choice, choose_field
from collavo.datasets.evaluation.answer_fields import inside, named, texts_in
from collavo.datasets.evaluation.graded import judged_fields
from collavo.datasets.evaluation.prediction import IDS, Prediction, prediction_of
from collavo.datasets.evaluation.result_files import result_rows
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.text import read_bytes
from collavo.datasets.registration.readers.tsv import tsv_rows
from collavo.errors import DataError
from collavo.records import Sample

_LOGGED = (*IDS, "category")
"""What is taken from the records of lmms-eval's metrics."""

_LISTS = ("logs", "predictions", "results", "answers", "outputs", "responses", "data", "samples",
          "per_sample")  # fmt: skip
"""Under which a file that is one object keeps its rows; `logs` is an older file of lmms-eval."""


@dataclass(frozen=True)
class Answers:
    """What a file of answers holds.

    Args:
        predictions: One a row, in the file's order.
        field: The field that was read as the model's answer; "" where the file's form says it.
        unused: Fields that were not used, in the file's order.
    """

    predictions: list[Prediction]
    field: str = ""
    unused: tuple[str, ...] = ()


def read_predictions(path: Path) -> list[Prediction]:
    """Reads a file of answers by the names of its fields alone; see `read_answers`."""
    return read_answers(path).predictions


def read_answers(path: Path, samples: Sequence[Sample] = (), field: str = "") -> Answers:
    """Reads a file of answers.

    JSON lines or an array of rows (`question_id` and the model's text, see `answer_fields`; or our
    predictions.jsonl), LLaVA's results of ScienceQA, CoLLaVO's of Q-Bench, an object
    `{id: answer}` or `{id: row}`, lmms-eval's sample logs,
    VLMEvalKit's xlsx and tsv, and the files of the judges of MM-Vet, LLaVA-Bench and MathVista.

    Args:
        path: The file.
        samples: The questions; they tell a reference or a question from an answer.
        field: The field that holds the model's answer; "": found out.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken, no field or several could be the answer, or a row has none; the
            message names fields and row.
    """
    if path.is_dir():
        raise DataError(
            f"{path} is a folder; give the file of answers (or, for MME, a folder of the official "
            "result files existence.txt, count.txt, ...)"
        )
    if read_bytes(path).startswith(b"PK\x03\x04"):
        from collavo.datasets.evaluation.xlsx import read_xlsx

        rows, table = read_xlsx(path), True
    elif path.suffix.lower() == ".tsv":
        rows, table = [_without_images(row) for row in tsv_rows(path)], True
    else:
        rows, table = list(_rows(path)), False
    if not rows:
        raise DataError(f"{path} holds no answers")
    if not field and all(_is_log(row) for row in rows):
        return Answers([_from_log(row, _filtered(row)) for row in rows])
    choice = choose_field(rows, samples, field, table)
    read = _cells if table else _from_row
    return Answers(
        [found for row in rows for found in read(row, choice)], choice.field, choice.unused
    )


def _without_images(row: Row) -> Row:
    return Row(row.place, {k: v for k, v in row.values.items() if isinstance(v, str | None)})


def _rows(path: Path) -> Iterator[Row]:
    rows = result_rows(path) or read_rows(path)
    if len(rows) == 1 and not any(name in rows[0].values for name in (*IDS, "sample_id", "doc")):
        values = rows[0].values
        listed = [name for name in _LISTS if _is_list_of_rows(values.get(name))]
        if listed:
            name = listed[0]
            for number, fields in enumerate(values[name], start=1):
                yield Row(f"{path}, {name.removesuffix('s')} {number}", fields)
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


def _is_list_of_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, Mapping) for x in value)


def _from_row(row: Row, choice: Choice) -> Iterator[Prediction]:
    """Reads one row of JSON; a log of lmms-eval's keeps its question in `doc`."""
    try:
        value = inside(row.values, choice.field)
    except KeyError:
        if judged_fields(row.values):  # a file of grades holds no answers
            yield prediction_of(row, "", choice.question)
            return
        raise DataError(
            f"{row.place}: no field {choice.field!r}, which other rows have; "
            f"it has {named(row.values)}"
        ) from None
    if isinstance(value, bool):
        raise DataError(f"{row.place}: field {choice.field!r} must be text, got bool")
    texts = texts_in(value)
    if len(texts) > 1 or (value is not None and not texts):
        raise DataError(
            f"{row.place}: field {choice.field!r} must be text, got {type(value).__name__} that "
            f"holds {len(texts) or 'no'} texts"
        )
    answer = texts[0] if texts else None
    yield _from_log(row, answer) if _is_log(row) else prediction_of(row, answer, choice.question)


def _is_log(row: Row) -> bool:
    return "filtered_resps" in row.values or "resps" in row.values


def _filtered(row: Row) -> str:
    """The answer in a row of lmms-eval's sample log."""
    answer: Any = row.values.get("filtered_resps", row.values.get("resps"))
    while isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, str):
        raise DataError(f"{row.place}: 'filtered_resps' holds no text")
    return answer


def _from_log(row: Row, answer: str | None) -> Prediction:
    """Reads one row of lmms-eval's sample log, which keeps the dataset's fields in `doc`."""
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
    found = prediction_of(Row(row.place, fields), answer)
    return replace(found, position=number) if type(number) is int else found


def _cells(row: Row, choice: Choice) -> Iterator[Prediction]:
    """Reads one row of a VLMEvalKit table; a category list means one question of several splits."""
    answer = row.values.get(choice.field)
    category = row.values.get("category")
    for part in category.split(",") if isinstance(category, str) and category else [""]:
        values = {**row.values, "category": part.strip()}
        # An empty cell is an empty answer.
        yield prediction_of(
            Row(row.place, values), "" if answer is None else str(answer), choice.question
        )
