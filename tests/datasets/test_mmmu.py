"""MMMU: parquet by subject, open answers, and the authors' lots drawn with seed 42."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.mmmu import DOMAINS, SUBJECTS, MMMUEvaluator
from collavo.datasets.evaluation.mmmu_open import agrees, readings
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.records import Sample


def _row(key: str, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": key, "question": "What does <image 1> show?", "options": "['a cat', 'a dog', 'tea']",
        "answer": "B", "question_type": "multiple-choice", "image_1": {"bytes": b"1", "path": ""},
        "image_2": {"bytes": b"2", "path": ""}, "subfield": "x", "topic_difficulty": "Easy",
    }  # fmt: skip
    return row | changes


def _write(root: Path, subject: str, rows: list[dict[str, Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    folder = root / "MMMU" / subject
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "validation-00000-of-00001.parquet")
    use_root(root)


def test_a_folder_for_each_subject(tmp_path: Path) -> None:
    _write(tmp_path, "Art_Theory", [_row("validation_Art_Theory_1")])
    is_open = {"question_type": "open", "options": "[]", "answer": "12"}
    _write(tmp_path, "Accounting", [_row("validation_Accounting_1", **is_open)])
    first, second = samples_of("mmmu_val")
    assert (first.category, second.category) == ("Accounting", "Art_Theory")
    assert (first.options, first.answers) == ((), ("12",))
    assert (second.options, second.answers) == (("a cat", "a dog", "tea"), ("B",))
    assert [image.read() for image in second.images] == [b"1", b"2"]
    answers = {first.sample_id: "so the result is 12.00", second.sample_id: "unsure"}
    found = MMMUEvaluator().evaluate([first, second], answers)
    assert dict(found.headline) == {"accuracy": 0.5}
    assert found.scores["domains"]["Business"] == {"accuracy": 1.0, "questions": 1}
    assert found.scores["subjects"]["Art_Theory"]["accuracy"] == 0.0
    assert found.scores["kinds"]["open"]["accuracy"] == 1.0
    (path,) = MMMUEvaluator().submission([first, second], answers, tmp_path)
    assert json.loads(path.read_text()) == {
        "validation_Accounting_1": "so the result is 12.00",
        "validation_Art_Theory_1": "",
    }


def test_lots_are_drawn_in_the_authors_order() -> None:
    def sample(subject: str, number: int) -> Sample:
        key = f"validation_{subject}_{number}"
        kind = {"question_type": "multiple-choice"}
        return Sample(f"mmmu_val:{key}", (), "q", key, tuple("xyz"), ("A",), subject, kind)

    samples = [sample("Sociology", 2), sample("Accounting", 10), sample("Accounting", 9)]
    answers = dict.fromkeys((s.sample_id for s in samples), "hm")
    found = MMMUEvaluator("official_seed42").evaluate(samples, answers)
    dice = random.Random(42)
    drawn = [dice.choice(list("ABC")) for _ in samples]
    # the second subject comes last, and number 9 before number 10
    assert [found.per_sample[s.sample_id].parsed for s in samples] == [drawn[2], drawn[1], drawn[0]]
    plain = MMMUEvaluator().evaluate(samples, answers)
    assert plain.headline["accuracy"] == 0.0
    assert plain.scores["parsers"]["official_seed42"]["accuracy"] == found.headline["accuracy"]
    assert "luck" in " ".join(plain.notes)


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("12", "12", True), ("12.004", "12", True), ("12.006", "12", False),
        ("1,200", "1200", True),
        ("The answer is 12 cats", "12", True), ("120", "12", False), ("1.2e1", "12", True),
        ("so x = 5. The rest is nothing", "nothing", True), ("a big dog there", "dog", True),
        ("x", "x", True), ("axe", "x", False), ("an x here", "x", True), ("Yes.", "yes", True),
        ("", "yes", False), ("", "", True), ("12%", "12", True), ("nan", "nan", False),
        ("first\nthe final 7\n", "7", True),
    ],
)  # fmt: skip
def test_open_answers(text: str, reference: str, right: bool) -> None:
    assert agrees(readings(text), (reference,)) == right


def test_several_references() -> None:
    assert agrees(readings("twelve"), ("12", "Twelve"))
    assert not agrees(readings("eleven"), ("12", "Twelve"))


def test_the_domains_hold_every_subject_once() -> None:
    assert sorted(x for listed in DOMAINS.values() for x in listed) == sorted(SUBJECTS)
    assert len(set(SUBJECTS)) == 30


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": "['a'"}, "the options are no list"),
        ({"options": "[1, [2]]"}, "the options must be texts"),
        ({"id": None}, "no field 'id'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    _write(tmp_path, "Art", [_row("validation_Art_1"), _row("validation_Art_2", **change)])
    with pytest.raises(DataError, match="row 2") as caught:
        samples_of("mmmu_val")
    assert said in str(caught.value)


def test_the_authors_answers_serve_to_score(shared: Path) -> None:
    use_root(shared / "data")
    samples = samples_of("mmmu_val")
    assert len(samples) == metadata_of("mmmu_val").expected["questions"]
    assert Counter(s.extra["question_type"] for s in samples) == {
        "multiple-choice": 847,
        "open": 53,
    }
    assert {s.category for s in samples} == set(SUBJECTS)
    answers = {s.sample_id: s.answers[0] for s in samples}
    found = MMMUEvaluator().evaluate(samples, answers)
    kinds = found.scores["kinds"]
    assert kinds["multiple-choice"]["accuracy"] == 1.0
    # a reference that the rule itself does not read back is the authors' own doing
    assert kinds["open"]["accuracy"] > 0.9
