"""Datasets by path and `all`, through whole runs; the files for the organisers of benchmarks."""

from __future__ import annotations

import base64
import json
import shutil

import pytest

from collavo.cli.main import main
from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration import catalog
from collavo.datasets.registration.layouts import use_layout


@pytest.fixture(autouse=True)
def _no_layout(no_root):
    yield
    use_layout("auto")


@pytest.fixture
def table(bench):
    """A table of three images with two questions each."""
    lines = ["index\timage\tquestion\tA\tB\tanswer\tcategory"]
    for k in range(6):
        image = base64.b64encode((bench.data / f"{k // 2}.png").read_bytes()).decode()
        shared = k - 1 if k % 2 else image
        lines.append(f"{k}\t{shared}\tWhich {k}?\tone\ttwo\t{'AB'[k % 2]}\t{'xy'[k % 2]}")
    path = bench.data / "Mine v1.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_evaluated(bench, table, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_SEGMENT_LOG", str(tmp_path / "segmented"))
    run = bench.run(DATASETS__TEST=f"tsv:{table}")
    assert run.code == 0
    assert run.results["dataset"] == f"tsv:{table}"
    assert run.folder.parent.name.startswith("tsv-Mine_v1-")
    assert run.results["flags"]["miniature"] is False
    assert [p["sample_id"] for p in run.predictions] == [f"Mine v1:{k}" for k in range(6)]
    assert run.predictions[1]["image"] == "Mine v1.tsv, line 2, image 1"
    assert run.predictions[1]["prompt"].endswith(
        "Which 1?\nA. one\nB. two\nAnswer with the option's letter from the given choices directly."
    )
    assert set(run.results["scores"]["categories"]) == {"x", "y"}
    assert len((tmp_path / "segmented").read_text().splitlines()) == 3, "once an image"
    bench.asked()
    assert bench.run(DATASETS__TEST=f"tsv:{table}").folder == run.folder
    assert bench.asked() == []


def test_a_list_and_a_table_in_one_run(bench, table):
    lines = [{"image": "0.png", "question": "What?", "answers": ["cat"] * 10}]
    (bench.data / "v.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = f"jsonl:{bench.data}/v.jsonl?metric=anls,tsv:{table}"
    run = bench.run(DATASETS__TEST=names, EVAL__RUN_DIR=str(bench.save / "here"))
    assert run.code == 0
    folders = sorted(p.name for p in (bench.save / "here").iterdir())
    assert [name.rpartition("-")[0] for name in folders] == ["jsonl-v", "tsv-Mine_v1"]
    results = json.loads((bench.save / "here" / folders[0] / "results.json").read_text())
    assert set(results["headline"]) >= {"anls"}


def test_hidden_answers_are_written_for_the_organisers(bench, capsys):
    rows = [{"question_id": 4 + k, "image": "0.png", "question": f"What {k}?"} for k in range(3)]
    path = bench.data / "hidden.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = f"jsonl:{path}?metric=vqa"
    run = bench.run(DATASETS__TEST=name)
    assert run.code == 0 and run.results["headline"] == {}
    (file,) = run.results["submission"]
    sent = json.loads((run.folder / file).read_text())
    assert [row["question_id"] for row in sent] == [4, 5, 6]
    assert all(p["correct"] is None for p in run.predictions)
    assert "to send:" in capsys.readouterr().out
    # the same from stored answers
    words = ["--dataset", name, "--predictions", str(run.folder / "predictions.jsonl")]
    folder = bench.save / "sent"
    assert main(["score", *words, "--submission", str(folder)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (written,) = result["submission"]
    assert json.loads((folder / written).read_text()) == sent
    # known answers are nobody else's business
    path.write_text("".join(json.dumps(row | {"answer": "x"}) + "\n" for row in rows))
    known = bench.run(DATASETS__TEST=f"{name}&image_root={bench.data}")
    assert known.results["submission"] == [] and known.results["headline"]


def test_organisers_that_take_none(bench, table, capsys):
    run = bench.run(DATASETS__TEST=f"tsv:{table}")
    words = ["--dataset", f"tsv:{table}", "--predictions", str(run.folder / "predictions.jsonl")]
    assert main(["score", *words, "--submission", str(bench.save / "sent")]) == 2
    assert "take no submissions" in capsys.readouterr().err
    (bench.save / "file").write_text("")
    assert main(["score", *words, "--submission", str(bench.save / "file")]) == 2
    assert "cannot make --submission" in capsys.readouterr().err


@pytest.fixture
def root(tmp_path):
    """A root that holds POPE alone."""
    shutil.copytree(miniature_root() / "POPE", tmp_path / "root/POPE")
    shutil.copytree(miniature_root() / "coco2014", tmp_path / "root/coco2014")
    return tmp_path / "root"


def test_all_takes_what_is_there_and_says_what_is_not(bench, root, caplog):
    run = bench.run("--limit", "2", DATASETS__TEST="all", DATASETS__ROOT=str(root))
    assert run.code == 0
    assert {p.name for p in bench.save.iterdir()} >= {"pope_test"}
    assert "mme" not in {p.name for p in bench.save.iterdir()}
    said = next(r.getMessage() for r in caplog.records if "skipped" in r.getMessage())
    assert "\n  mme: mme is missing" in said and "pope_test:" not in said


def test_all_and_a_named_one_that_is_missing(bench, root, capsys):
    words = bench.words(DATASETS__TEST="all,mme", DATASETS__ROOT=str(root))
    assert main(words) == 2
    assert "mme is missing" in capsys.readouterr().err


def test_all_of_an_empty_root(bench, tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    # without the plug-in's dataset, which needs no root
    monkeypatch.setattr(catalog, "dataset_names", lambda: ["mme", "pope_test"])
    words = bench.words(DATASETS__TEST="all", DATASETS__ROOT=str(tmp_path / "empty"))
    assert main(words) == 2
    assert "holds none of the datasets: mme, pope_test;" in capsys.readouterr().err
