"""SEED-Bench: layouts, types by id, the double question, LLaVA-1.5-13B's published answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.prediction import Prediction
from collavo.datasets.evaluation.seed import SeedEvaluator
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.registry import PIPELINES

ROW: dict[str, Any] = {
    "answer": "A", "choice_a": "One", "choice_b": "Two", "choice_c": "Three", "choice_d": "Four",
    "data_id": "1454426_2591111986", "data_type": "image", "question": "How many towels?",
    "question_id": "101669", "question_type_id": 5,
}  # fmt: skip


def _write(root: Path, *changes: dict[str, Any]) -> None:
    (root / "SEED-Bench").mkdir(exist_ok=True)
    value = {"questions": [{**ROW, **c} for c in changes], "question_type": {}}
    (root / "SEED-Bench/SEED-Bench.json").write_text(json.dumps(value))
    use_root(root)


def test_image_questions_alone(tmp_path: Path) -> None:
    video = {"data_type": "video", "question_id": "v1", "question_type_id": 10}
    _write(tmp_path, {}, video, {"question_id": 7, "question_type_id": 3, "answer": "b"})
    first, second = samples_of("seed")
    assert (first.category, second.category) == ("Instances Counting", "Instance Attributes")
    assert second.answers == ("B",)
    assert first.images
    assert first.images[0].path == tmp_path / "SEED-Bench/SEED-Bench-image/1454426_2591111986"
    found = SeedEvaluator().evaluate([first, second], {"seed:101669": "A", "seed:7": "b"})
    assert dict(found.headline) == {"accuracy": 0.5}
    assert list(found.scores["types"]) == ["3", "5"]
    assert found.scores["types"]["3"] == {
        "accuracy": 0.0, "questions": 1, "name": "Instance Attributes"
    }  # fmt: skip
    parsers = {name: figures["accuracy"] for name, figures in found.scores["parsers"].items()}
    assert parsers["collavo"] == parsers["llava"] == 0.5
    assert parsers["lmms_eval"] == parsers["collavo_offline"] == 1.0
    (path,) = SeedEvaluator().submission([first], {"seed:101669": "A"}, tmp_path)
    assert path.read_text() == '{"question_id": "101669", "prediction": "A"}\n'


def test_a_question_that_the_file_holds_twice_takes_two_answers(tmp_path: Path) -> None:
    _write(tmp_path, {"question_id": "49914"}, {"question_id": "49914"}, {"question_id": "5"})
    samples = samples_of("seed")
    assert [s.sample_id for s in samples] == ["seed:49914", "seed:49914#2", "seed:5"]
    rows = [Prediction(f"row {n}", "A", question_id=i) for n, i in enumerate(["49914", 5, "49914"])]
    rows = [Prediction(r.place, r.answer, question_id=str(r.question_id)) for r in rows]
    found = match(samples, rows)
    assert found.complete
    assert len(found.answers) == 3
    third = Prediction("row 3", "A", question_id="49914")
    assert match(samples, [*rows, third]).doubled == ["seed:49914 (row 3)"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question_type_id": 10}, "must be 1 to 9"),
        ({"choice_a": None}, "no field 'choice_a'"),
        ({"data_id": ""}, "is no image path"),
        ({"question": 3}, "must be text"),
    ],
)
def test_broken_questions_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    _write(tmp_path, {}, change)
    with pytest.raises(DataError, match="question 2") as caught:
        samples_of("seed")
    assert said in str(caught.value)


def test_labels_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    rows = [{"question_id": "1", "gt_answer": "A"}, {"question_id": "1", "gt_answer": "B"}]
    text = "".join(json.dumps(row) + ",\n" for row in rows)
    (tmp_path / "seed/annotations.jsonl").write_text(text)
    use_root(tmp_path)
    with pytest.raises(DataError, match="question '1' has another answer further up"):
        samples_of("seed")


def test_the_published_answers_of_llava(shared: Path) -> None:
    use_root(shared / "data")
    samples = samples_of("seed")
    assert len(samples) == 14232
    lines = (shared / "data/seed/answers_upload_llava-v1.5-13b.jsonl").read_text().splitlines()
    said = {str(row["question_id"]): row["prediction"] for row in map(json.loads, lines)}
    answers = {s.sample_id: said[str(s.question_id)] for s in samples}
    found = SeedEvaluator().evaluate(samples, answers)
    assert round(found.headline["accuracy"], 4) == 0.6821
    with pytest.raises(DataError, match="its file holds labels alone"):
        PIPELINES.get("seed")().prompt(samples[0])
