"""Q-Bench: the authors' lists, types and concerns, and how the toolkits read answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.evaluation.qbench import QBenchEvaluator
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"type": 2, "concern": 3, "question": "How is the lighting?", "img_path": "10.jpg",
     "candidates": ["High", "Low", "Medium"], "correct_ans": "Low"},
    {"type": 0, "concern": 0, "question": "Is it blurred?", "img_path": "11.jpg",
     "candidates": ["Yes", "No"], "correct_ans": "no "},
]  # fmt: skip


def _write(root: Path, rows: list[dict[str, Any]], name: str = "llvisionqa_dev.json") -> None:
    folder = root / "LLVisionQA-QBench"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    use_root(root)


def _answers(*texts: str) -> dict[str, str]:
    ids = [f"qbench_dev:{row['img_path']}/{row['question']}" for row in ROWS]
    return dict(zip(ids, texts, strict=True))


def test_types_concerns_and_rules(tmp_path: Path) -> None:
    _write(tmp_path, ROWS)
    samples = samples_of("qbench_dev")
    assert [s.answers for s in samples] == [("B",), ("B",)]
    found = QBenchEvaluator().evaluate(samples, _answers("B. Low", "Yes"))
    assert dict(found.headline) == {"accuracy": 50.0}
    assert found.scores["types"]["how"]["accuracy"] == 100.0
    assert found.scores["concerns"]["distortion"]["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        # three options: not found is the last one, nothing is the first, "BC" stands at 1
        ("B", {"collavo": "B", "trol": "B", "lmms_eval": "B", "vlmevalkit": "B", "official": "B"}),
        ("B.", {"collavo": "C", "trol": None, "lmms_eval": "B", "official": "B"}),
        ("", {"collavo": "A", "trol": None, "lmms_eval": None, "official": None}),
        ("BC", {"collavo": "B", "lmms_eval": "C"}),
        (" B ", {"collavo": "B", "trol": None}),
        ("D", {"collavo": None, "official": None}),
        ("low.", {"collavo": "C", "official": "B", "vlmevalkit": "B"}),
        ("The answer is B", {"official": "B", "collavo": "C"}),
    ],
)
def test_how_an_answer_is_read(tmp_path: Path, text: str, letters: dict[str, Any]) -> None:
    _write(tmp_path, ROWS)
    samples = samples_of("qbench_dev")
    for name, letter in letters.items():
        found = QBenchEvaluator(name).evaluate(samples, _answers(text, "A"))
        assert found.per_sample[samples[0].sample_id].parsed == letter, name


def test_answers_are_matched_by_image_by_id_and_in_the_originals_file(tmp_path: Path) -> None:
    _write(tmp_path, ROWS)
    samples = samples_of("qbench_dev")
    (path,) = QBenchEvaluator().submission(samples, _answers("B", "A\n"), tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1]) == {**ROWS[1], "response": "A\n"}
    assert match(samples, read_predictions(path)).answers == _answers("B", "A\n")
    # CoLLaVO writes one object behind another
    path.write_text("".join(lines), encoding="utf-8")
    assert match(samples, read_predictions(path)).answers == _answers("B", "A\n")
    # a row's number is not the number in the name of an image
    numbered = [{**row, "id": number} for row, number in zip(ROWS, (11, 10), strict=True)]
    _write(tmp_path, numbered)
    path.write_text('{"question_id": 10, "answer": "A"}\n{"question_id": 11, "answer": "B"}\n')
    found = match(samples_of("qbench_dev"), read_predictions(path))
    assert found.answers == _answers("B", "A")


def test_the_chinese_and_the_hidden_split(tmp_path: Path) -> None:
    row = {k: v for k, v in ROWS[0].items() if k != "correct_ans"}
    _write(tmp_path, [row], "质衡-问答-测试集.json")
    (sample,) = samples_of("qbench_cn_test")
    found = QBenchEvaluator().evaluate([sample], {sample.sample_id: "A"})
    assert not found.headline
    assert found.per_sample[sample.sample_id].parsed == "A"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correct_ans": "Bright"}, "is none of the candidates"),
        ({"type": 3}, "'type' must be 0 to 2, got '3'"),
        ({"candidates": "x"}, "the options are no list"),
        ({"img_path": "../x.jpg"}, "leaves the dataset folder"),
        ({"question": None}, "no field 'question'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    _write(tmp_path, [ROWS[0], {**ROWS[1], **change}])
    with pytest.raises(DataError, match="row 2") as caught:
        samples_of("qbench_dev")
    assert said in str(caught.value)


def test_images_by_address_are_not_fetched(tmp_path: Path) -> None:
    _write(tmp_path, [{**ROWS[0], "img_path": "https://example.org/a.jpg"}])
    image = samples_of("qbench_dev")[0].images[0]
    assert image is not None
    with pytest.raises(DataError, match="put it into images/ yourself"):
        image.read()


def test_the_real_lists(shared: Path) -> None:
    use_root(shared / "data")
    samples = samples_of("qbench_dev")
    assert len(samples) == metadata_of("qbench_dev").expected["questions"]
    assert Counter(s.category for s in samples) == {"yes-or-no": 550, "what": 452, "how": 493}
    assert Counter(s.extra["concern"] for s in samples) == {
        "distortion": 514, "other": 432, "in-context distortion": 304, "in-context other": 245
    }  # fmt: skip
    assert all(s.answers for s in samples)
    hidden = samples_of("qbench_test")
    assert len(hidden) == 1495
    assert not any(s.answers for s in hidden)
