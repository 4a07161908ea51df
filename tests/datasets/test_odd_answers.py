"""Answers of odd shapes: no evaluator stops, and no answer moves to another question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.base import SampleScore
from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.registration.catalog import dataset_names, metadata_of, samples_of
from collavo.errors import UserError
from collavo.records import Sample
from collavo.registry import EVALUATORS
from collavo.results.files import write_lines

ODD = (
    *("", " ", "\n", "\t", "\r\n", "\0", "a\0b", "\ufeff", "\u2028", "\u200b", "🙂" * 3, "ｙｅｓ"),
    *("yes\n\n\nno", "A\tB\tC", "x" * 4000, "no " * 1000, "A " * 500, "(", ")", "[", "[0.1,"),
    *("=1+1", "nan", "inf", "-1e999", "1e3", "½", "٣", "1,000", "None", "null", "{}", "[]", "%"),
    *("&amp;", "\\n", "\\", "%s", "{0}", "Yes.\x0c", "Answer: B.", "the answer is the answer is"),
    *("Z", "-", ".", "<b>yes</b>", "Ａ．"),
)

MOST = 24
"""Samples of a dataset that are scored: of each category some."""


@cache
def part(name: str) -> tuple[Sample, ...]:
    """A few whole groups of the dataset's miniature."""
    samples = samples_of(name)
    kept: dict[str, list[Sample]] = {}
    for sample in samples:
        kept.setdefault(sample.category, []).append(sample)
    share = max(2, MOST // max(1, len(kept)))
    return tuple(s for group in kept.values() for s in group[:share])


def right(sample: Sample) -> str:
    return sample.answers[0] if sample.answers else "A"


def judged(name: str, answers: Mapping[str, str]) -> Mapping[str, SampleScore]:
    """Scores the part; the test ends where the rules need a judge."""
    metadata = metadata_of(name)
    evaluator = EVALUATORS.get(metadata.evaluator_type)()
    try:
        return evaluator.evaluate(part(name), answers, metadata.as_dict()).per_sample
    except UserError as error:
        if "judge" in str(error).lower():
            pytest.skip(f"{metadata.evaluator_type} needs a judge")
        raise


@pytest.fixture(params=dataset_names())
def name(request: pytest.FixtureRequest) -> str:
    """Every dataset that has a miniature."""
    try:
        assert part(request.param)
    except UserError as error:
        pytest.skip(str(error).splitlines()[0])
    return str(request.param)


def test_no_answer_stops_the_evaluator_or_moves(name: str) -> None:
    samples = part(name)
    baseline = judged(name, {s.sample_id: right(s) for s in samples})
    assert list(baseline) and set(baseline) == {s.sample_id for s in samples}
    for number, odd in enumerate(ODD):
        one = samples[number % len(samples)]
        answers = {s.sample_id: odd if s is one else right(s) for s in samples}
        found = judged(name, dict(reversed(list(answers.items()))))
        others = {i: score for i, score in found.items() if i != one.sample_id}
        groups = _group(samples, one)
        for sample_id, score in others.items():
            if sample_id not in groups:
                assert score == baseline[sample_id], f"{odd!r} for {one.sample_id}"
        correct = found[one.sample_id].correct
        assert correct is None or 0 <= correct <= 1


def _group(samples: Sequence[Sample], one: Sample) -> set[str]:
    """Samples that are judged together with `one` (rotations of a question)."""
    group = one.extra.get("group")
    return {s.sample_id for s in samples if group and s.extra.get("group") == group}


def test_the_same_odd_answer_to_all(name: str) -> None:
    for odd in ODD:
        found = judged(name, {s.sample_id: odd for s in part(name)})
        json.dumps({i: (s.parsed, s.reference, s.correct) for i, s in found.items()})


@pytest.mark.parametrize("form", ["sample_id", "question_id", "xlsx"])
def test_odd_answers_go_through_files_to_their_question(
    name: str, tmp_path: Path, form: str
) -> None:
    samples = part(name)
    answers = {s.sample_id: ODD[k % len(ODD)] for k, s in enumerate(samples)}
    rows = [_row(s, answers[s.sample_id], form) for s in reversed(samples)]
    path = tmp_path / ("a.xlsx" if form == "xlsx" else "a.jsonl")
    if form == "xlsx":
        answers = _write_xlsx(path, rows, answers)
    else:
        write_lines(path, rows)
    found = match(samples, read_predictions(path))
    assert not found.missing and not found.unknown and not found.doubled
    assert found.answers == answers


def _row(sample: Sample, answer: str, form: str) -> dict[str, Any]:
    if form == "sample_id":
        return {"sample_id": sample.sample_id, "answer": answer}
    image = sample.extra.get("image") or (sample.images[0].label if sample.images else "")
    row = {"question_id": sample.question_id, "question": sample.question, "image": image}
    if sample.category:
        row["category"] = sample.category
    return {**row, ("prediction" if form == "xlsx" else "answer"): answer}


def _write_xlsx(
    path: Path, rows: Sequence[Mapping[str, Any]], answers: Mapping[str, str]
) -> dict[str, str]:
    """Writes a table; returns the answers as a table can hold them."""
    import openpyxl
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    def cell(value: Any) -> Any:
        return ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value

    book = openpyxl.Workbook()
    sheet: Any = book.active
    names = list(dict.fromkeys(name for row in rows for name in row))
    sheet.append(names)
    for row in rows:
        sheet.append([cell(row.get(name)) for name in names])
    book.save(path)
    return {key: str(cell(text)).replace("\r\n", "\n") for key, text in answers.items()}
