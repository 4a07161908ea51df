"""A-OKVQA: to choose and to answer, as the authors' eval_predictions.py scores it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.aokvqa import AOKVQADirectEvaluator, AOKVQAEvaluator
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.registry import EVALUATORS, PIPELINES

ROW: dict[str, Any] = {
    "split": "val", "image_id": 461751, "question_id": "22jb", "question": "What is in the air?",
    "choices": ["kite", "bird", "ball", "bird"], "correct_choice_idx": 1,
    "direct_answers": ["bird"] * 2 + ["Bird"] * 7 + ["gull"], "difficult_direct_answer": False,
    "rationales": ["It flies."],
}  # fmt: skip


def _write(root: Path, *changes: dict[str, Any]) -> None:
    (root / "A-OKVQA").mkdir(exist_ok=True)
    rows = [ROW | change for change in changes]
    (root / "A-OKVQA/aokvqa_v1p0_val.json").write_text(json.dumps(rows))
    use_root(root)


def test_to_choose(tmp_path: Path) -> None:
    _write(tmp_path, {})
    (sample,) = samples_of("aokvqa_val")
    assert sample.images
    assert sample.images[0].path == tmp_path / "coco2017/val2017/000000461751.jpg"
    for text, right in (
        ("B", True), ("bird", True), ("B. bird", True), ("Bird.", True), ("kite", False),
        ("", False), ("E", False),
        ("D", True),  # the text is what counts, and it is the same
    ):  # fmt: skip
        found = AOKVQAEvaluator().evaluate([sample], {sample.sample_id: text})
        assert found.per_sample[sample.sample_id].correct is right, text
        assert found.headline["accuracy"] == 100.0 * right
    (path,) = AOKVQAEvaluator().submission([sample], {sample.sample_id: "A"}, tmp_path)
    assert json.loads(path.read_text()) == {"22jb": {"multiple_choice": "kite"}}


def test_to_answer(tmp_path: Path) -> None:
    difficult = {"question_id": "x", "difficult_direct_answer": True}
    _write(tmp_path, {}, difficult)
    samples = samples_of("aokvqa_val_direct")
    for text, share in (("Bird", 1.0), ("bird", 2 / 3), ("gull", 1 / 3), ("bird.", 0.0)):
        answers = {samples[0].sample_id: text, samples[1].sample_id: "bird"}
        found = AOKVQADirectEvaluator().evaluate(samples, answers)
        assert found.headline["direct_answer"] == pytest.approx(100 * share)
        assert found.per_sample[samples[1].sample_id].correct is None
        assert found.scores["questions"] == 1
    assert found.scores["parsers"]["stripped"]["direct_answer"] == pytest.approx(200 / 3)
    (path,) = AOKVQADirectEvaluator().submission(samples, answers, tmp_path)
    assert json.loads(path.read_text())["22jb"] == {"direct_answer": "bird."}


def test_the_copy_from_the_hub_holds_lists_as_text(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "A-OKVQA/data"
    folder.mkdir(parents=True)
    row = {k: v for k, v in ROW.items() if k not in ("split", "image_id")}
    row |= {"image": {"bytes": b"jpg", "path": ""}, "direct_answers": str(ROW["direct_answers"])}
    pq.write_table(pa.Table.from_pylist([row]), folder / "validation-00000-of-00001.parquet")
    use_root(tmp_path)
    (sample,) = samples_of("aokvqa_val_direct")
    assert len(sample.answers) == 10
    assert sample.images
    assert sample.images[0].read() == b"jpg"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": "../x"}, "must be a number of COCO"),
        ({"choices": None}, "no field 'choices'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    _write(tmp_path, {}, change)
    with pytest.raises(DataError, match="row 2") as caught:
        samples_of("aokvqa_val")
    assert said in str(caught.value)


def test_the_metadata_names_parts_that_there_are() -> None:
    for name in ("aokvqa_val", "aokvqa_val_direct"):
        metadata = metadata_of(name)
        assert metadata.evaluator_type in EVALUATORS
        assert metadata.answer_type == PIPELINES.get(metadata.pipeline).answer_type
