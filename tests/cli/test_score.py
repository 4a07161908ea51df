"""The command `score`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collavo.cli.main import main
from tests.cli.score_command import SPLITS, _answers, _refused, _score

pytestmark = pytest.mark.usefixtures("no_root")


@pytest.fixture
def pope_root(tmp_path: Path) -> Path:
    """Twelve questions, in the authors' layout; no images."""
    root = tmp_path / "data"
    (root / "POPE").mkdir(parents=True)
    for split in SPLITS:
        rows = [
            {
                "question_id": n,
                "image": f"COCO_{n}.jpg",
                "text": f"Is there a {split} in the image?",
                "label": "yes" if n % 2 else "no",
            }
            for n in (1, 2, 3, 4)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"POPE/coco_pope_{split}.json").write_text(text)
    return root


def _all_yes() -> list[dict[str, Any]]:
    return [
        {"question_id": n, "category": split, "answer": "Yes"}
        for split in SPLITS
        for n in range(1, 5)
    ]


def test_tables_come_first_and_json_last(
    pope_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _answers(tmp_path / "a.jsonl", _all_yes())
    words = ["--predictions", str(path), "--overrides", "DATASETS.ROOT", str(pope_root)]
    assert main(["score", "--dataset", "pope_test", *words]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert result["mean_accuracy"] == result["headline"]["mean_accuracy"] == 0.5
    assert result["scores"]["random"]["recall"] == 1.0
    assert result["mean_f1"] == pytest.approx(2 / 3)
    assert result["counts"] == {"expected": 12, "answered": 12, "failed": 0}
    assert result["flags"] == {
        "miniature": False, "untrained": False, "subset": False, "failures": False,
        "builtin_model": False, "repeats_references": False, "repeats_questions": False,
    }  # fmt: skip
    text = "\n".join(lines)
    for word in ("POPE", "adversarial", "yes_ratio", "vlmevalkit", "arXiv:2402.11248", "87.2"):
        assert word in text


def test_the_output_file_holds_each_sample(
    pope_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _all_yes()
    rows[0]["answer"] = "no \ud83d \x00\n\t🐶"
    path = _answers(tmp_path / "a.jsonl", rows)
    out = tmp_path / "new" / "scores.json"
    words = ("--output", out, "--overrides", "DATASETS.ROOT", pope_root)
    printed = _score(capsys, "pope_test", path, *words)
    written = json.loads(out.read_text())
    assert {k: written[k] for k in printed} == printed
    first = written["per_sample"][0]
    assert first["sample_id"] == "pope_test:random/1"
    assert (first["parsed"], first["reference"], first["correct"]) == ("no", "yes", False)
    assert len(written["per_sample"]) == 12
    blocked = tmp_path / "file"
    blocked.touch()
    said = _refused(
        capsys, "pope_test", path, "--output", blocked / "x.json",
        "--overrides", "DATASETS.ROOT", pope_root,
    )  # fmt: skip
    assert "cannot write --output" in said


def test_a_root_is_needed_unless_the_miniature_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _answers(tmp_path / "a.jsonl", _all_yes())
    said = _refused(capsys, "pope_test", path)
    assert "score needs the dataset: no dataset root is set; set DATASETS.ROOT" in said
    assert "--miniature scores against the built-in miniature" in said
    monkeypatch.setenv("DATASET2", str(tmp_path / "gone"))
    assert "(from DATASET2) is not a folder" in _refused(capsys, "pope_test", path)


def test_a_dataset_of_ones_own_needs_no_root(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_set.py").write_text(
        "from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog\n"
        "ROWS = [{'question_id': n, 'question': f'Is there a {n}?', 'image': None,\n"
        "         'answer': 'yes'} for n in (1, 2)]\n"
        "DatasetCatalog.register('own_score_set', lambda: ROWS)\n"
        "MetadataCatalog.get('own_score_set').set(pipeline='pope', evaluator_type='pope')\n"
    )
    rows = [{"question_id": n, "answer": a} for n, a in ((2, "no"), (1, "yes"))]
    path = _answers(tmp_path / "a.jsonl", rows)
    result = _score(capsys, "own_score_set", path, "--user_dir", tmp_path / "own_set.py")
    assert (result["mean_accuracy"], result["root"]) == (0.5, "none")
    assert result["scores"]["all"]["questions"] == 2


def test_the_miniature_is_scored_where_it_is_asked_for_and_flagged(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pope_root: Path,
) -> None:
    monkeypatch.setattr("collavo.datasets.miniature.build.miniature_root", lambda: pope_root)
    path = _answers(tmp_path / "a.jsonl", _all_yes())
    result = _score(capsys, "pope_test", path, "--miniature")
    assert result["flags"]["miniature"] is True


def test_what_does_not_fit_is_listed_and_ends_non_zero_unless_partial(
    pope_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _all_yes()
    extra = [rows[1], {"question_id": 99, "answer": "No"}, {"question_id": 1, "answer": "No"}]
    path = _answers(tmp_path / "a.jsonl", [*rows[1:], *extra])
    root = ("--overrides", f"DATASETS.ROOT={pope_root}")
    said = _refused(capsys, "pope_test", path, *root)
    assert "2 unknown:\n  '99'" in said
    assert "unknown question_id" in said
    assert "it fits several samples" in said
    assert "1 missing:\n  pope_test:random/1" in said
    assert "1 doubled:\n  pope_test:random/2" in said
    result = _score(capsys, "pope_test", path, "--partial", *root)
    assert (result["unknown"], result["missing"], result["doubled"]) == (2, 1, 1)
    assert result["flags"]["subset"] is True
    assert result["counts"] == {"expected": 12, "answered": 11, "failed": 1}
    nothing = _answers(tmp_path / "b.jsonl", extra[1:])
    said = _refused(capsys, "pope_test", nothing, "--partial", *root)
    assert "answers no question of pope_test" in said


def _own_set(tmp_path: Path, said: dict[str, list[str]]) -> tuple[str, Path]:
    """A dataset of one's own, and answers to it with further fields."""
    rows = [
        {"id": 1, "question": "Is there a boat?", "answer": "yes"},
        {"id": 2, "question": "What is red?", "answer": "the lamp"},
    ]
    own = _answers(tmp_path / "own.jsonl", rows)
    given = [{"id": n, **{k: v[n - 1] for k, v in said.items()}} for n in (1, 2)]
    return f"jsonl:{own}", _answers(tmp_path / "said.jsonl", given)


def test_fields_that_were_not_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"answer": ["yes", "the lamp"], "pred": ["no", "a lamp"], "cost": ["1", "2"]}
    dataset, path = _own_set(tmp_path, said)
    assert main(["score", "--dataset", dataset, "--predictions", str(path)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert (result["answer_field"], result["unused_fields"]) == ("pred", ["answer", "cost"])
    note = "answers read from 'pred'; fields of their file not used: 'answer', 'cost'"
    assert note in result["notes"] and f"note: {note}" in lines
    result = _score(capsys, dataset, path, "--answer-field", "answer")
    assert result["answer_field"] == "answer" and result["headline"] == {"accuracy": 100.0}
    assert "no row of" in _refused(capsys, dataset, path, "--answer-field", "nothing")


def test_answers_that_are_the_references_to_the_letter_are_flagged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dataset, path = _own_set(tmp_path, {"answer": ["yes", "the lamp"]})
    result = _score(capsys, dataset, path)
    assert result["flags"]["repeats_references"] is True
    assert "every answer in field 'answer'" in caplog.text
    caplog.clear()
    dataset, path = _own_set(tmp_path, {"answer": ["Yes", "The lamp."]})
    result = _score(capsys, dataset, path)
    assert result["flags"]["repeats_references"] is False and not caplog.text
    said = _refused(capsys, dataset, tmp_path / "own.jsonl")
    assert "own.jsonl is the dataset's own file, and its field 'answer' the reference" in said


@pytest.mark.parametrize("name", ["text", "answer", "pred"])
def test_answers_that_are_the_questions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    asked = ["Is there a boat?\nAnswer briefly.", "what is red?"]
    dataset, path = _own_set(tmp_path, {name: asked})
    said = _refused(capsys, dataset, path)
    assert f"field '{name}' of {path} holds the questions" in said
    result = _score(capsys, dataset, path, "--answer-field", name)
    assert result["flags"]["repeats_questions"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pope_tset", "a.jsonl"), "Unknown dataset 'pope_tset'. Did you mean: pope_test"),
        (("pope_test", "gone.jsonl"), "gone.jsonl is not there"),
        (("pope_test", "broken.jsonl"), "broken.jsonl, line 2: not JSON"),
        (("pope_test", "a.jsonl", "--parser", "offical"), "Did you mean: official"),
        (("pope_test", "."), "is a folder; give the file of answers"),
    ],
)
def test_wrong_words_are_answered_in_one_line(
    pope_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    path = _answers(tmp_path / "a.jsonl", _all_yes())
    (tmp_path / "broken.jsonl").write_text(path.read_text()[:80])
    dataset, file, *rest = words
    error = _refused(
        capsys, dataset, tmp_path / file, *rest, "--overrides", "DATASETS.ROOT", pope_root
    )
    assert said in error
    assert "Traceback" not in error


def test_a_broken_result_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "1.jpg\tIs it? Please answer yes or no.\tYes\tyes"
    for text, said in (
        (line.rsplit("\t", 1)[0], "OCR.txt, line 1: expected image, question, label and answer"),
        (line.replace("\tYes", "\tMaybe"), "line 1: the label must be Yes or No"),
        ("oops", "line 1: expected image, question, label and answer separated by tabs"),
    ):
        (tmp_path / "OCR.txt").write_text(text)
        assert said in _refused(capsys, "mme", tmp_path)
    # An answer with line ends goes on in the next lines; the pairing does not shift.
    (tmp_path / "OCR.txt").write_text(f"{line},\nI think\n{line.replace('it?', 'he?')}\n")
    assert _score(capsys, "mme", tmp_path / "OCR.txt")["total"] == 200.0


def test_scoring_loads_no_torch(pope_root: Path, tmp_path: Path) -> None:
    path = _answers(tmp_path / "a.jsonl", _all_yes())
    code = (
        "import sys; from collavo.cli.main import main; "
        f"assert main(['score', '--dataset', 'pope_test', '--predictions', {str(path)!r}, "
        f"'--overrides', 'DATASETS.ROOT', {str(pope_root)!r}]) == 0; "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
