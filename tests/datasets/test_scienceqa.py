"""ScienceQA: every layout, the authors' groups, and the published answers of LLaVA-1.5-13B."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.scienceqa import ScienceQAEvaluator
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError

PROBLEMS: dict[str, Any] = {
    "4": {
        "question": "Which figure of speech?", "choices": ["chiasmus", "apostrophe"], "answer": 1,
        "hint": "", "image": None, "grade": "grade11", "subject": "language science",
        "topic": "figurative-language", "split": "test",
    },
    "5": {
        "question": "What could the test show?", "choices": ["a", "b", "c"], "answer": 0,
        "hint": "A passage.", "image": "image.png", "grade": "grade6",
        "subject": "natural science", "topic": "physics", "split": "test",
    },
    "6": {
        "question": "Not asked.", "choices": ["a", "b"], "answer": 0, "hint": "", "image": None,
        "split": "train",
    },
}  # fmt: skip


def _write(root: Path, llava: bool = False) -> None:
    folder = root / "ScienceQA"
    folder.mkdir(parents=True)
    (folder / "problems.json").write_text(json.dumps(PROBLEMS))
    (folder / "pid_splits.json").write_text(json.dumps({"test": ["4", "5"], "train": ["6"]}))
    if llava:
        said = "<image>\nContext: A passage.\nWhat could the test show?\nA. a\nB. b\nC. c"
        turns = [{"from": "human", "value": said}, {"from": "gpt", "value": "A"}]
        row = {"id": "5", "image": "5/image.png", "conversations": turns}
        (folder / "llava_test_CQM-A.json").write_text(json.dumps([row]))


def test_the_authors_files(tmp_path: Path) -> None:
    _write(tmp_path)
    use_root(tmp_path)
    samples = samples_of("scienceqa_test")
    assert [s.sample_id for s in samples] == ["scienceqa_test:4", "scienceqa_test:5"]
    assert [s.answers for s in samples] == [("B",), ("A",)]
    assert not samples[0].images
    assert samples[1].images
    assert samples[1].images[0].path == tmp_path / "ScienceQA/images/test/5/image.png"
    (tmp_path / "ScienceQA/pid_splits.json").unlink()
    assert [s.sample_id for s in samples_of("scienceqa_test")] == [s.sample_id for s in samples]


def test_llavas_list_gives_wording_and_order(tmp_path: Path) -> None:
    _write(tmp_path, llava=True)
    use_root(tmp_path)
    (sample,) = samples_of("scienceqa_test")
    assert sample.extra["text"].startswith("<image>\nContext: A passage.\n")
    assert sample.options == ("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": None}, "no field 'answer'"),
        ({"choices": []}, "must be a list of texts"),
        ({"choices": None}, "no field 'choices'"),
        ({"question": None}, "no field 'question'"),
        ({"image": "../../x/..\0.png"}, "is no image path"),
    ],
)
def test_broken_problems_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    _write(tmp_path)
    broken = {**PROBLEMS, "5": {**PROBLEMS["5"], **change}}
    (tmp_path / "ScienceQA/problems.json").write_text(json.dumps(broken))
    use_root(tmp_path)
    with pytest.raises(DataError, match="problem '5'") as caught:
        samples_of("scienceqa_test")
    assert said in str(caught.value)


def test_nothing_there_lists_the_layouts(tmp_path: Path) -> None:
    use_root(tmp_path)
    with pytest.raises(MissingFileError, match="pid_splits.json") as caught:
        samples_of("scienceqa_test")
    assert "ScienceQA_TEST.tsv" in str(caught.value)


def test_vlmevalkits_table(tmp_path: Path) -> None:
    head = "index\tquestion\thint\tA\tB\tC\tanswer\timage\tcategory\n"
    row = "7\tWhich?\tA passage.\tone\ttwo\t\tB\t" + "QUJD" * 30 + "\tphysics\n"
    (tmp_path / "ScienceQA_TEST.tsv").write_text(head + row)
    use_root(tmp_path)
    (sample,) = samples_of("scienceqa_test")
    assert (sample.options, sample.answers) == (("one", "two"), ("B",))
    assert sample.images
    assert sample.images[0].read() == b"ABC" * 30


def test_a_copy_from_the_hub(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "ScienceQA" / "ScienceQA-IMG"
    folder.mkdir(parents=True)
    rows = {
        "image": [{"bytes": b"png", "path": "a.png"}, None],
        "question": ["Which?", "What?"],
        "choices": [["a", "b"], ["c", "d"]],
        "answer": [1, 0],
        "hint": ["", "Look."],
        "subject": ["natural science"] * 2,
        "grade": ["grade1"] * 2,
    }
    pq.write_table(pa.table(rows), folder / "test-00000-of-00001.parquet")
    use_root(tmp_path)
    samples = samples_of("scienceqa_test")
    assert [s.answers for s in samples] == [("B",), ("A",)]
    assert samples[0].images
    assert samples[0].images[0].read() == b"png"
    assert not samples[1].images


def test_the_authors_groups(tmp_path: Path) -> None:
    _write(tmp_path)
    use_root(tmp_path)
    samples = samples_of("scienceqa_test")
    answers = {"scienceqa_test:4": "B", "scienceqa_test:5": "C"}
    found = ScienceQAEvaluator().evaluate(samples, answers)
    assert dict(found.headline) == {"accuracy": 50.0, "image_accuracy": 0.0}
    shown = {name: figures["accuracy"] for name, figures in found.scores["groups"].items()}
    assert shown == {
        "NAT": 0.0, "SOC": -1.0, "LAN": 100.0, "TXT": 0.0, "IMG": 0.0, "NO": 100.0,
        "G1-6": 0.0, "G7-12": 100.0,
    }  # fmt: skip
    assert found.scores["topics"]["physics"] == {"accuracy": 0.0, "questions": 1}
    (path,) = ScienceQAEvaluator().submission(samples, answers, tmp_path / "out")
    assert json.loads(path.read_text())["results"] == {"4": 1, "5": 2}


def test_the_published_answers_of_llava(shared: Path, tmp_path: Path) -> None:
    data, folder = shared / "data/scienceqa", tmp_path / "ScienceQA"
    folder.mkdir()
    shutil.copy(data / "problems_test_reconstructed.json", folder / "problems.json")
    shutil.copy(data / "pid_splits.json", folder)
    use_root(tmp_path)
    samples = samples_of("scienceqa_test")
    assert len(samples) == metadata_of("scienceqa_test").expected["questions"]
    stored = json.loads((data / "llava-v1.5-13b_output.json").read_text(encoding="utf-8"))
    said = {r["question_id"]: r for rows in stored.values() for r in rows}
    answers = {s.sample_id: said[str(s.question_id)]["pred"] for s in samples}
    found = ScienceQAEvaluator().evaluate(samples, answers)
    assert found.headline["accuracy"] == pytest.approx(74.39283187927376, abs=1e-12)
    assert round(found.headline["image_accuracy"], 2) == 71.64
    right = {r["question_id"] for r in stored["correct"]}
    for sample in samples:
        judged = found.per_sample[sample.sample_id]
        assert judged.correct == (sample.question_id in right)
    (path,) = ScienceQAEvaluator().submission(samples, answers, tmp_path)
    official = json.loads((data / "llava-v1.5-13b_result.json").read_text(encoding="utf-8"))
    assert json.loads(path.read_text(encoding="utf-8"))["results"] == official["results"]


def test_every_real_prompt_is_llavas(shared: Path, tmp_path: Path) -> None:
    from collavo.registry import PIPELINES

    data, folder = shared / "data/scienceqa", tmp_path / "ScienceQA"
    folder.mkdir()
    shutil.copy(data / "problems_test_reconstructed.json", folder / "problems.json")
    suffix = "\nAnswer with the option's letter from the given choices directly."
    rows = json.loads((data / "llava_test_CQM-A.json").read_text(encoding="utf-8"))
    said = {row["id"]: row["conversations"][0]["value"] for row in rows}
    known = json.loads((folder / "problems.json").read_text(encoding="utf-8"))
    # of these the hint in the authors' file is not the one that LLaVA's list was made from
    apart = {pid for pid, p in known.items() if "hint" in p and p["hint"] not in said[pid]}
    use_root(tmp_path)
    pipeline = PIPELINES.get("SQAPipeline")()
    for name in ("authors", "original"):
        if name == "original":
            shutil.copy(data / "llava_test_CQM-A.json", folder)
            apart = set()
        for sample in samples_of("scienceqa_test"):
            if sample.question_id not in apart:
                wanted = said[str(sample.question_id)].replace("<image>", "") + suffix
                assert pipeline.prompt(sample) == wanted
    assert len(said) == 4241
