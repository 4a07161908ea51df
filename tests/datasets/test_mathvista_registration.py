"""MathVista in each layout, its test split without answers, and when problems are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.layouts import layout_of
from collavo.errors import DataError
from tests.datasets.judged_files import BASE64, CELL, _image, _json, _parquet, _png, _tsv

PROBLEM = {
    "pid": "7", "question": "How much?", "image": "images/7.jpg", "choices": None, "unit": "$",
    "precision": 1.0, "answer": "1.2", "question_type": "free_form", "answer_type": "float",
    "metadata": {"split": "testmini", "task": "t", "skills": ["a", "b"], "language": "english"},
}  # fmt: skip
FLOAT_QUERY = (
    "Hint: Please answer the question requiring a floating-point number with one decimal place and "
    "provide the final value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: How much? (Unit: $)"
)


def _mathvista_json(root: Path) -> None:
    _json(root / "MathVista/data/testmini.json", {"7": PROBLEM})
    _image(root / "MathVista/images/7.jpg", 7)


def _mathvista_hub(root: Path, images: bool = False) -> None:
    row = {**PROBLEM, "query": FLOAT_QUERY, "decoded_image": CELL}
    name = "testmini-00000-of-00001-725687bf7a18d64b.parquet"
    _parquet(root / "MathVista" / ("" if images else "data") / name, [row])


def _mathvista_original(root: Path) -> None:
    _mathvista_hub(root, images=True)
    _image(root / "MathVista/images/7.jpg", 7)


def _mathvista_table(root: Path) -> None:
    row = {
        "index": "7", "image": BASE64, "question": '"' + FLOAT_QUERY + '"', "answer": "1.2",
        "question_type": "free_form", "answer_type": "float", "choices": "[]",
        "task": "t", "skills": "\"['a', 'b']\"", "language": "english",
    }  # fmt: skip
    _tsv(root / "MathVista_MINI.tsv", [row])


@pytest.mark.parametrize(
    ("write", "layout"),
    [
        (_mathvista_original, "original"), (_mathvista_json, "authors"), (_mathvista_hub, "hf"),
        (_mathvista_table, "vlmevalkit"),
    ],
)  # fmt: skip
def test_mathvista_in_each_layout(root: Path, write: Callable[[Path], None], layout: str) -> None:
    write(root)
    (sample,) = samples_of("mathvista_testmini")
    assert layout_of("mathvista_testmini") == layout
    assert (sample.sample_id, sample.question_id) == ("mathvista_testmini:7", "7")
    assert sample.extra["query"] == FLOAT_QUERY
    assert (sample.answers, sample.extra["precision"]) == (("1.2",), 1)
    assert list(sample.extra["metadata"]["skills"]) == ["a", "b"]
    assert sample.images and sample.images[0].read() == _png(7)


def test_mathvista_test_hides_its_answers(root: Path) -> None:
    row = {**PROBLEM, "answer": "", "decoded_image": CELL}
    for part in range(2):
        name = f"test-0000{part}-of-00002-6b81bd7f7e2065e6.parquet"
        _parquet(root / "MathVista/data" / name, [{**row, "pid": str(part)}])
    samples = samples_of("mathvista_test")
    assert [(s.sample_id, s.answers) for s in samples] == [
        ("mathvista_test:0", ()), ("mathvista_test:1", ()),
    ]  # fmt: skip
    assert metadata_of("mathvista_test").published == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": "red"}, "field 'choices' must be a list of texts"),
        ({"question_type": "multi_choice"}, "a question of choices has none"),
        ({"question_type": None}, "no field 'question_type'"),
        ({"answer": ["1"]}, "field 'answer' must be text"),
        ({"metadata": "x"}, "field 'metadata' must be an object"),
        ({"image": "../../etc/passwd"}, "images are read below it alone"),
    ],
)
def test_broken_problems_are_named(root: Path, change: dict[str, Any], message: str) -> None:
    _json(root / "MathVista/testmini.json", {"7": {**PROBLEM, **change}})
    with pytest.raises(DataError, match=message) as caught:
        samples_of("mathvista_testmini")
    assert "problem '7'" in str(caught.value)
