"""Result files of other toolkits that are no rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.datasets.evaluation.predictions import read_predictions
from collavo.errors import DataError


def _read(path: Path) -> list[tuple[str, str | None]]:
    return [(p.question_id, p.answer) for p in read_predictions(path)]


def test_llavas_two_files_of_scienceqa(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    right = [{"question_id": "4", "pred": "B", "parsed_ans": "B", "question": "Which?"}]
    wrong = [{"question_id": "5", "pred": "A. x", "parsed_ans": "A", "question": "What?"}]
    path.write_text(json.dumps({"correct": right, "incorrect": wrong}, indent=2))
    assert _read(path) == [("4", "B"), ("5", "A. x")]
    outputs = {"4": "B", "5": ""}
    value = {"acc": 50.0, "correct": 1, "count": 2, "results": {"4": 1}, "outputs": outputs}
    path.write_text("\ufeff" + json.dumps(value))
    assert _read(path) == [("4", "B"), ("5", "")]


def test_objects_one_behind_another(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    rows = [{"question_id": n, "response": "}{ " * n} for n in range(3)]
    path.write_text("".join(json.dumps(row) for row in rows))
    assert _read(path) == [("0", ""), ("1", "}{ "), ("2", "}{ }{ ")]
    # lines stay lines, whatever an answer holds
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert _read(path) == [("0", ""), ("1", "}{ "), ("2", "}{ }{ ")]


@pytest.mark.parametrize("text", ['{"question_id": 1}{', '{"correct": [', "{}{}x", "{" * 50_000])
def test_broken_files_end_in_a_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(DataError, match="results.json"):
        read_predictions(path)
