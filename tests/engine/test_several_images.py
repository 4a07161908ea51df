"""Rows of several images through whole commands: refused, or shown in part with a count."""

from __future__ import annotations

import json

import pytest

from collavo.cli.main import main

ASKED = {"question": "What?", "answer": "a"}


@pytest.fixture(autouse=True)
def _no_root(no_root):
    """Datasets are named by their path or by the root that a test gives."""


def _rows(bench, *images):
    rows = [{**ASKED, "id": k, "images": list(names)} for k, names in enumerate(images)]
    file = bench.data / "several.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{file}"


def test_rows_of_ones_own_are_refused(bench, capsys):
    name = _rows(bench, ["0.png"], ["1.png", "2.png"], ["3.png", "4.png", "5.png"])
    assert main(bench.words(DATASETS__TEST=name)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 3 samples have more images (up to 3, first several:1)" in said
    assert "EVAL.SEVERAL_IMAGES first" in said
    assert bench.asked() == []


@pytest.mark.parametrize("way", ["path", "key"])
def test_the_first_is_shown_where_that_is_said(bench, way):
    name = _rows(bench, ["0.png"], ["1.png", "2.png"])
    if way == "path":
        run = bench.run(DATASETS__TEST=f"{name}?images=first")
    else:
        run = bench.run(DATASETS__TEST=name, EVAL__SEVERAL_IMAGES="first")
    assert run.code == 0
    assert [p["image"].rpartition("/")[2] for p in run.predictions] == ["0.png", "1.png"]
    said = {
        "path": "only the first of several images is shown (?images=first) (1 row, first",
        "key": "1 samples have several images; the model is shown the first image of each.",
    }[way]
    assert said in " ".join(run.results["notes"])


@pytest.fixture
def mmmu(bench):
    """MMMU with one question of two images, in a root of its own."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    image = [{"bytes": (bench.data / f"{k}.png").read_bytes(), "path": f"{k}.png"} for k in (0, 1)]
    row = {"question": "Q <image 1>?", "options": "['x', 'y']", "question_type": "multiple-choice"}
    rows = [
        {**row, "id": "validation_Art_1", "answer": "B", "image_1": image[0], "image_2": image[1]},
        {**row, "id": "validation_Art_2", "answer": "E", "image_1": image[1], "image_2": None},
    ]
    folder = bench.data / "root" / "MMMU" / "Art"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "validation-00000-of-00001.parquet")
    return str(bench.data / "root")


def test_mmmu_keeps_its_habit_and_counts(bench, mmmu, capsys):
    run = bench.run(DATASETS__TEST="mmmu_val", DATASETS__ROOT=mmmu)
    assert run.code == 0
    assert [p["image"] for p in run.predictions] == ["0.png", "1.png"]
    notes = " ".join(run.results["notes"])
    assert "several images in a row; the benchmark is asked with the first (1 row, first" in notes
    assert "1 samples have several images; the model is shown the first image of each" in notes
    assert "none of the row's options, so the question is asked and not scored (1 row" in notes
    assert "1 questions have no answer in the dataset and are not scored" in notes
    capsys.readouterr()
    code = main(["check", "mmmu_val", "--json", "--overrides", f"DATASETS.ROOT={mmmu}"])
    found = json.loads(capsys.readouterr().out)
    assert code == 3, "two questions, where 900 are published"
    notes = " ".join(found["datasets"][0]["notes"])
    assert "the benchmark is asked with the first (1 row, first" in notes
    assert "'E' of A, B" in notes


def test_score_counts_them(bench, mmmu, tmp_path):
    answers = tmp_path / "answers.jsonl"
    keys = ("validation_Art_1", "validation_Art_2")
    answers.write_text("".join(json.dumps({"id": k, "prediction": "B"}) + "\n" for k in keys))
    words = ["score", "--dataset", "mmmu_val", "--predictions", str(answers)]
    assert (
        main(
            [*words, "--output", str(tmp_path / "out.json"), "--overrides", f"DATASETS.ROOT={mmmu}"]
        )
        == 0
    )
    results = json.loads((tmp_path / "out.json").read_text())
    notes = " ".join(results["notes"])
    assert "the benchmark is asked with the first (1 row, first" in notes
    assert "'E' of A, B" in notes
    assert results["scores"]["questions"] == 1
