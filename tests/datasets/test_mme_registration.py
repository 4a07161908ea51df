"""Reading MME in each of its layouts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.mme_tree import TASKS
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError

END = " Please answer yes or no."
SHORT = "\nAnswer the question using a single word or phrase."
BASE = "MME_Benchmark_release_version"
LINES = f"Is it a dog?{END}\tYes\nIs it a  cat? {END}\tNo\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A tree of one flat task (png) and one with inner folders (jpg)."""
    use_root(tmp_path)
    folder = tmp_path / BASE
    for inner in ("OCR", "artwork/images", "artwork/questions_answers_YN"):
        (folder / inner).mkdir(parents=True)
    (folder / "OCR/0001.png").write_bytes(b"x")
    (folder / "OCR/0001.txt").write_text(LINES)
    (folder / "artwork/images/7.jpg").write_bytes(b"x")
    (folder / "artwork/questions_answers_YN/7.txt").write_text(LINES.replace("\n", "\r\n"))
    return folder


def test_both_forms_of_task_folders_are_read(base: Path) -> None:
    samples = samples_of("mme")
    assert [(s.category, s.question_id, s.answers[0]) for s in samples] == [
        ("artwork", "artwork/images/7.jpg", "yes"),
        ("artwork", "artwork/images/7.jpg", "no"),
        ("OCR", "OCR/0001.png", "yes"),
        ("OCR", "OCR/0001.png", "no"),
    ]
    assert [s.sample_id for s in samples[2:]] == [
        "mme:OCR/0001/Is it a dog?",
        "mme:OCR/0001/Is it a cat?",
    ]
    assert samples[3].question == f"Is it a  cat?{END}"
    assert samples[0].images
    assert samples[0].images[0].path == base / "artwork/images/7.jpg"
    assert samples[0].images[0] is samples[1].images[0]


def test_images_need_not_be_there_to_score(base: Path) -> None:
    before = [s.sample_id for s in samples_of("mme")]
    (base / "OCR/0001.png").unlink()
    (base / "artwork/images/7.jpg").unlink()
    samples = samples_of("mme")
    assert [s.sample_id for s in samples] == before
    assert all(s.images and s.images[0].path and not s.images[0].path.exists() for s in samples)


def test_the_official_result_files_serve_as_task_files(tmp_path: Path) -> None:
    use_root(tmp_path)
    (tmp_path / "MME").mkdir()
    rows = [(image, f"Is it {n}?{END}", label) for image in ("b.jpg", "a.jpg")
            for n, label in enumerate(("Yes", "No"))]  # fmt: skip
    (tmp_path / "MME/OCR.txt").write_text("".join("\t".join(r) + "\n" for r in rows))
    with_answers = "".join("\t".join((*r, "no idea")) + "\n" for r in rows)
    (tmp_path / "MME/color.txt").write_text(with_answers.replace(".jpg", ".txt"))
    samples = samples_of("mme")
    assert [s.sample_id for s in samples] == [
        f"mme:{task}/{image}/Is it {n}?"
        for task in ("color", "OCR") for image in "ba" for n in (0, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["llava_mme.json", "llava_mme.jsonl"])
def test_a_question_list_takes_its_labels_from_the_folders(base: Path, name: str) -> None:
    rows = [
        {
            "question_id": image,
            "image": image,
            "text": f"{question}{SHORT}",
            "category": image.split("/")[0],
        }
        for image in ("OCR/0001.png", "artwork/images/7.jpg")
        for question in ("Is it a cat?", "Is it a dog?")
    ]
    text = json.dumps(rows) if name.endswith("n") else "\n".join(map(json.dumps, rows))
    (base / name).write_text(text)
    samples = samples_of("mme")
    assert [(s.question_id, s.answers[0]) for s in samples] == [
        ("OCR/0001.png", "no"),
        ("OCR/0001.png", "yes"),
        ("artwork/images/7.jpg", "no"),
        ("artwork/images/7.jpg", "yes"),
    ]
    rows[0]["text"] = "Is it a yak?"
    (base / name).write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"line 1: the task folders beside .* no such question"):
        samples_of("mme")


def test_a_list_with_answers_needs_no_folders(tmp_path: Path) -> None:
    use_root(tmp_path)
    (tmp_path / BASE / "OCR").mkdir(parents=True)
    (tmp_path / BASE / "OCR/1.png").write_bytes(b"x")
    rows = [
        {"id": str(i), "category": "OCR", "image": "1.png", "question": q + END, "answer": a}
        for i, (q, a) in enumerate((("Is it a?", "Yes"), ("Is it b?", "No")))
    ]
    (tmp_path / BASE / "annotations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shutil.rmtree(tmp_path / BASE / "OCR")
    samples = samples_of("mme")
    assert [(s.question_id, s.answers[0]) for s in samples] == [("0", "yes"), ("1", "no")]
    assert samples[0].images
    assert samples[0].images[0].path == tmp_path / BASE / "OCR/1.png"
    rows[0]["category"] = "cats"
    (tmp_path / BASE / "annotations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="line 1: 'cats' is no task of MME; its tasks: existence"):
        samples_of("mme")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Is it a dog?\n", "line 1: expected 2 cells (question, answer) separated by tabs"),
        (LINES.replace("Yes", "Maybe"), "line 1: the label must be Yes or No, got 'Maybe'"),
        (LINES.splitlines()[0], "MME asks two questions about each image, found 1"),
        (LINES + f"Is it a yak?{END}\tNo\n", "found 3 about 'OCR/0001.png'"),
    ],
)
def test_a_broken_question_file_is_named(base: Path, text: str, said: str) -> None:
    (base / "OCR/0001.txt").write_text(text)
    with pytest.raises(DataError, match=r"OCR/0001\.txt, line 1") as caught:
        samples_of("mme")
    assert said in str(caught.value)


def test_what_is_missing_is_named(base: Path, tmp_path: Path) -> None:
    (base / "OCR/0001.txt").unlink()
    with pytest.raises(DataError, match=r"OCR/0001\.png has no questions: 0001\.txt is missing"):
        samples_of("mme")
    shutil.rmtree(base / "OCR")
    shutil.rmtree(base / "artwork")
    with pytest.raises(MissingFileError, match=r"(?s)mme is missing: .*original: .*existence"):
        samples_of("mme")
    shutil.rmtree(base)
    with pytest.raises(MissingFileError, match=r"mme is missing: .*" + BASE):
        samples_of("mme")


def test_missing_tasks_are_logged(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples_of("mme")
    assert "has no questions of existence, count, position, color, posters" in caplog.text


def test_the_real_questions_give_the_real_pairs(shared: Path, tmp_path: Path) -> None:
    use_root(tmp_path)
    shutil.copytree(shared / "data/mme/eval_tool/Your_Results", tmp_path / BASE)
    tree = samples_of("mme")
    shutil.copy(shared / "data/mme/llava_mme.jsonl", tmp_path / BASE)
    listed = samples_of("mme")
    assert len(tree) == 2374
    assert {s.sample_id: s.answers for s in tree} == {s.sample_id: s.answers for s in listed}
    pairs = Counter((s.category, s.extra["image"]) for s in tree)
    assert set(pairs.values()) == {2}
    assert len(pairs) == 1187
    assert [task for task in TASKS if task not in {s.category for s in tree}] == []
