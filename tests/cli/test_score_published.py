"""The command `score` on real question files and published answers: the published figures."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration import roots
from collavo.datasets.registration.catalog import samples_of
from tests.cli.score_command import SPLITS, _answers, _refused, _score

pytestmark = pytest.mark.usefixtures("no_root")

MME = "MME_Benchmark_release_version"


@pytest.fixture(scope="module")
def real_root(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    shutil.copytree(shared / "data/pope/legacy_2910", root / "POPE")
    for file in (shared / "data/mme/eval_tool/Your_Results").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            image, question, label = line.split("\t")
            task = root / MME / file.stem
            task.mkdir(parents=True, exist_ok=True)
            with open(task / f"{Path(image).stem}.txt", "a", encoding="utf-8") as target:
                target.write(f"{question}\t{label}\n")
    return root


def test_pope_of_llava_is_that_of_its_paper(
    shared: Path, real_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = shared / "data/pope/answers_llava-v1.5-13b.jsonl"
    result = _score(capsys, "pope_test", answers, "--overrides", "DATASETS.ROOT", real_root)
    assert result["mean_f1"] == pytest.approx(0.8595, abs=5e-5)
    assert result["counts"]["answered"] == 8910
    assert any("legacy (2,910)" in note for note in result["notes"])


def test_pope_answers_of_the_old_release_do_not_pass_for_the_new_one(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "POPE").mkdir()
    for split in SPLITS:
        shutil.copy(shared / f"data/pope/coco_pope_{split}.json", tmp_path / "POPE")
    answers = shared / "data/pope/answers_llava-v1.5-13b.jsonl"
    said = _refused(capsys, "pope_test", answers, "--overrides", "DATASETS.ROOT", tmp_path)
    assert (
        "The dataset's files are of the present release (9,000 questions) and the answers of the "
        "release before 2024, with 2,910 random questions (8,910): place the files" in said
    )
    assert "unknown" not in said and len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("folder", "perception", "cognition"),
    [
        ("llava-v1.5-13b-visualcot", 1531.17, 295.36),
        ("eval_tool/LaVIN", 963.61, 249.64),
    ],
)
def test_the_official_result_files_of_mme_are_scored_as_they_are(
    shared: Path,
    capsys: pytest.CaptureFixture[str],
    folder: str,
    perception: float,
    cognition: float,
) -> None:
    result = _score(capsys, "mme", shared / "data/mme" / folder)
    assert result["perception"] == pytest.approx(perception, abs=0.005)
    assert result["cognition"] == pytest.approx(cognition, abs=0.005)


def test_mme_of_llava_from_its_own_answer_file(
    shared: Path, real_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = shared / "data/mme/answers_llava-v1.5-13b.jsonl"
    result = _score(capsys, "mme", answers, "--overrides", "DATASETS.ROOT", real_root)
    assert result["perception"] == pytest.approx(1531.3, abs=0.05)  # as published
    assert result["cognition"] == pytest.approx(295.4, abs=0.05)


def test_mme_rows_need_the_question_since_ids_repeat(
    shared: Path, real_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = []
    for file in sorted((shared / "data/mme/llava-v1.5-13b-visualcot").iterdir()):
        for line in file.read_text(encoding="utf-8").splitlines():
            image, question, _, answer = line.split("\t")
            task = file.stem
            rows.append({"question_id": image, "category": task, "image": image, "answer": answer})
            rows[-1]["question"] = question
    random.Random(0).shuffle(rows)
    root = ("--overrides", "DATASETS.ROOT", real_root)
    path = _answers(tmp_path / "a.jsonl", rows)
    # Two of landmark's questions are not in these files.
    assert "2 missing:\n  mme:landmark/03d5e3bfc958be38/" in _refused(capsys, "mme", path, *root)
    result = _score(capsys, "mme", path, "--partial", *root)
    assert result["perception"] == pytest.approx(1531.17, abs=0.005)
    assert result["cognition"] == pytest.approx(295.36, abs=0.005)
    for row in rows:
        del row["question"]
    said = _refused(capsys, "mme", _answers(tmp_path / "b.jsonl", rows), *root)
    assert "2372 unknown" in said
    assert "it fits several samples" in said


def test_our_own_predictions_are_scored_in_any_order(
    shared: Path, real_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots.use_root(real_root)
    rows = [
        {"sample_id": s.sample_id, "question_id": s.question_id, "answer": s.answers[0].title()}
        for s in samples_of("mme")
    ]
    random.Random(0).shuffle(rows)
    path = _answers(tmp_path / "predictions.jsonl", rows)
    result = _score(capsys, "mme", path, "--overrides", "DATASETS.ROOT", real_root)
    assert result["total"] == 2800.0
