"""The command `compare`: what it pairs, tells, writes and refuses."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.cli.main import main
from collavo.datasets.registration.catalog import samples_of
from collavo.records import Sample

Make = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("no_root")


def _judge(sample: Sample, answer: str) -> dict[str, Any]:
    return {
        "parsed": answer.lower(),
        "reference": sample.answers[0],
        "correct": answer.lower() == sample.answers[0],
    }


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a run folder on the miniature of POPE (or MME) as `eval` leaves it."""

    def write(name: str, wrong: float, seed: int = 0, **changes: Any) -> Path:
        dataset = changes.pop("dataset", "pope_test")
        chance = random.Random(seed)
        rows = []
        for s in samples_of(dataset):
            flip = chance.random() < wrong
            other = "no" if s.answers[0] == "yes" else "yes"
            answer = (other if flip else s.answers[0]).capitalize()
            image = s.images[0].path.name if s.images and s.images[0].path else ""
            rows.append(
                {
                    "sample_id": s.sample_id, "question_id": s.question_id, "image": image,
                    "category": s.category, "question": s.question, "answer": answer,
                    **_judge(s, answer),
                }
            )  # fmt: skip
        edit = changes.pop("edit", None)
        rows = edit(rows) if edit else rows
        folder = tmp_path / name
        folder.mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "predictions.jsonl").write_text(lines)
        results = {
            "dataset": dataset,
            "headline": {"mean_f1": 0.5},
            "units": {},
            "flags": {"miniature": True},
            "parser": "official",
            "config": {"LLM": {"BITS": 16}, "SAVE_DIR": "results"},
            **changes,
        }
        (folder / "results.json").write_text(json.dumps(results))
        return folder

    return write


def _compare(capsys: pytest.CaptureFixture[str], *words: Any) -> dict[str, Any]:
    assert main(["compare", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    assert main(["compare", *map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[-1].startswith("error: ")
    return captured.err


def test_differences_intervals_tests_and_flips(make, capsys, tmp_path):
    first = make("a", 0.25, 1)
    second = make("b", 0.1, 2, config={"LLM": {"BITS": 4}, "SAVE_DIR": "results"})
    out = tmp_path / "deep" / "c.json"
    found = _compare(capsys, first, second, "--flips", 2, "--output", out)["datasets"][0]
    figures = {x["figure"]: x for x in found["figures"]}
    assert figures.keys() == {"mean_accuracy", "mean_f1", "mean of per-sample scores"}
    for x in figures.values():
        assert x["difference"] == pytest.approx(x["second"] - x["first"])
        assert 0 < x["interval"]["low"] < x["difference"] < x["interval"]["high"] < 0.4
        assert x["interval"]["clusters"] == 20 and x["interval"]["resamples"] == 1000
    everything = json.loads(out.read_text())["datasets"][0]
    assert len(found["fixed"]) == len(found["broken"]) == 2
    assert len(everything["fixed"]) == found["counts"]["fixed"] == found["mcnemar"]["fixed"]
    gained = found["counts"]["fixed"] - found["counts"]["broken"]
    assert gained / 360 == pytest.approx(figures["mean of per-sample scores"]["difference"])
    assert found["sign_flip_p"] < 0.01 and found["holm"]["sign_flip"] == found["sign_flip_p"]
    flip = everything["fixed"][0]
    assert flip["question"].startswith("Is there") and flip["first"] != flip["second"]
    assert found["config"] == [
        {"key": "LLM.BITS", "first": 16, "second": 4, "changes_answers": True}
    ]


def test_tables(make, capsys):
    assert main(["compare", str(make("a", 0.3)), str(make("b", 0.1, 4)), "--flips", "1"]) == 0
    out = capsys.readouterr().out
    assert "pope_test: 360 samples, 20 images" in out and "mean_accuracy" in out
    assert "McNemar" in out and "sign flips by image" in out
    assert "Fixed (1 of" in out and "Broken (1 of" in out


def test_a_run_against_itself(make, capsys):
    folder = make("a", 0.2)
    found = _compare(capsys, folder, folder / "predictions.jsonl")["datasets"][0]
    assert {x["difference"] for x in found["figures"]} == {0.0}
    assert {(x["interval"]["low"], x["interval"]["high"]) for x in found["figures"]} == {(0.0, 0.0)}
    assert found["mcnemar"]["p"] == found["sign_flip_p"] == 1.0
    assert found["counts"] == {"fixed": 0, "broken": 0, "answers_changed": 0}


def test_bare_predictions_without_the_dataset(make, capsys):
    paths = [make(name, wrong, 3) / "predictions.jsonl" for name, wrong in (("a", 0.3), ("b", 0.1))]
    for path in paths:
        (path.parent / "results.json").unlink()
    found = _compare(capsys, *paths)["datasets"][0]
    assert [x["figure"] for x in found["figures"]] == ["mean of per-sample scores"]
    assert found["clusters"] == 20 and found["figures"][0]["interval"]["low"] > 0
    whole = _compare(capsys, *paths, "--miniature")["datasets"][0]
    assert len(whole["figures"]) == 3
    assert whole["figures"][-1]["interval"] == found["figures"][0]["interval"]


def test_several_datasets_with_holm(make, capsys, caplog):
    for side, wrong in (("a", 0.3), ("b", 0.15)):
        make(f"{side}/pope_test/f1", wrong, 5)
        make(f"{side}/mme/f2", wrong, 6, dataset="mme")
    root = make("c", 0.1).parent
    found = _compare(capsys, root / "a", root / "b")["datasets"]
    assert [x["dataset"] for x in found] == ["mme", "pope_test"]
    raw = [x["sign_flip_p"] for x in found]
    assert [x["holm"]["sign_flip"] for x in found] == pytest.approx(
        [min(1.0, 2 * p) if p == min(raw) else max(p, 2 * min(raw)) for p in raw]
    )
    mme = {x["figure"]: x for x in found[0]["figures"]}
    assert mme["total"]["unit"] == "points of 2800"
    assert mme["total"]["interval"]["high"] > 50  # points, not a fraction
    assert main(["compare", str(root / "a"), str(root / "b/mme")]) == 0
    assert "has runs on pope_test: left out" in caplog.text


def test_settings_that_can_change_answers_stand_first(make, capsys):
    def settings(bits: int, beams: int, place: str, code: str) -> dict[str, Any]:
        return {
            "config": {
                "SAVE_DIR": place, "LLM": {"BITS": bits}, "EVAL": {"TIMEOUT": bits},
                "GENERATION": {"NUM_BEAMS": beams}, "JUDGE": {"MODEL": place},
            },
            "fingerprint": {"items": {"code": code}},
            "versions": {"platform": place, "torch": code},
        }  # fmt: skip

    given = {"a": settings(4, 1, "x", "1"), "b": settings(16, 3, "y", "2")}
    paths = [make(name, 0.1, **fields) for name, fields in given.items()]
    listed = _compare(capsys, *paths)["datasets"][0]["config"]
    assert [(row["key"], row["changes_answers"]) for row in listed] == [
        *(("LLM.BITS", True), ("GENERATION.NUM_BEAMS", True), ("fingerprint.code", True)),
        *(("versions.torch", True), ("SAVE_DIR", False), ("EVAL.TIMEOUT", False)),
        *(("JUDGE.MODEL", False), ("versions.platform", False)),
    ]
    assert main(["compare", *map(str, paths)]) == 0
    printed = capsys.readouterr().out
    first, second = printed.index("differs and can change"), printed.index("What differs besides")
    assert first < printed.index("GENERATION.NUM_BEAMS") < second < printed.index("SAVE_DIR")


def test_output_of_score(make, capsys, tmp_path):
    files = []
    for name, wrong in (("a", 0.3), ("b", 0.1)):
        files.append(tmp_path / f"{name}.json")
        words = ["--predictions", str(make(name, wrong) / "predictions.jsonl")]
        words += ["--miniature", "--output", str(files[-1])]
        assert main(["score", "--dataset", "pope_test", *words]) == 0
    capsys.readouterr()
    found = _compare(capsys, *files)["datasets"][0]
    assert len(found["figures"]) == 3 and found["figures"][0]["interval"]["low"] > 0
    assert found["notes"] == []


def _first_changed(field: str, value: Any) -> Callable[[list[dict]], list[dict]]:
    return lambda rows: [{**rows[0], field: value}, *rows[1:]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "mme"}, "is on pope_test, .* on mme"),
        ({"flags": {}}, "built-in miniature"),
        ({"parser": "llava"}, "parser 'official', .*'llava': score both with one --parser"),
        ({"edit": _first_changed("question", "Why?")}, "1 samples have another question, such as"),
        ({"edit": _first_changed("image", "x.jpg")}, "another image"),
        ({"edit": _first_changed("reference", "maybe")}, "another reference"),
        ({"edit": lambda rows: rows[:-2]}, "2 samples are in .*--partial"),
        ({"edit": lambda rows: [*rows, rows[0]]}, "stands there twice"),
    ],
    ids=["dataset", "miniature", "parser", "question", "image", "reference", "missing", "twice"],
)
def test_refusals_name_the_difference(make, capsys, changes, message):
    err = _refused(capsys, make("a", 0.1), make("b", 0.1, **changes))
    assert re.search(message, err, re.DOTALL)


def test_partial_and_failed_samples(make, capsys):
    def cut(rows: list[dict]) -> list[dict]:
        return [{**rows[0], "answer": None, "correct": None}, *rows[1:-10]]

    found = _compare(capsys, make("a", 0.2), make("b", 0.1, 1, edit=cut), "--partial")
    found = found["datasets"][0]
    assert found["samples"] == 349 and len(found["notes"]) == 2
    assert "10 samples are in" in found["notes"][0] and "1 samples that failed" in found["notes"][1]


def test_soft_scores_have_no_mcnemar(make, capsys):
    soft = make("b", 0.1, 1, edit=_first_changed("correct", 0.3))
    found = _compare(capsys, make("a", 0.2), soft)["datasets"][0]
    assert found["mcnemar"] is None and found["sign_flip_p"] < 1


def test_hidden_answers_leave_the_texts(make, capsys):
    def hide(rows: list[dict]) -> list[dict]:
        return [{**row, "correct": None, "reference": None} for row in rows]

    pair = [make(n, w, edit=hide) / "predictions.jsonl" for n, w in (("a", 0.3), ("b", 0.1))]
    for path in pair:
        (path.parent / "results.json").unlink()
    found = _compare(capsys, *pair)["datasets"][0]
    assert found["figures"] == [] and found["sign_flip_p"] is None
    assert found["counts"]["answers_changed"] > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "ends too early"), ('{"a": 1}', "no field 'sample_id'"), ("", "is empty")],
)
def test_broken_files(make, capsys, tmp_path, content, message):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(content)
    assert message in _refused(capsys, make("a", 0.1), bad)


def test_words_that_are_wrong(make, capsys, tmp_path):
    folder = make("a", 0.1)
    assert "takes two runs, got 1" in _refused(capsys, folder)
    assert "no such file or folder" in _refused(capsys, folder, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "is no run" in _refused(capsys, folder, tmp_path / "empty")
    make("two/pope_test/x", 0.1)
    make("two/pope_test/y", 0.1)
    assert "several runs on 'pope_test'" in _refused(capsys, folder, tmp_path / "two")


def _model(folder: Path, probe: float, score: float) -> str:
    for dataset, value in (("probe_class2binary", probe), ("pope_test", score)):
        run = folder / dataset / "f1"
        run.mkdir(parents=True)
        (run / "predictions.jsonl").write_text(json.dumps({"sample_id": f"{dataset}:1"}) + "\n")
        results = {"dataset": dataset, "headline": {"accuracy": value}}
        (run / "results.json").write_text(json.dumps(results))
    return str(folder)


def test_correlation_of_probes_with_benchmarks(tmp_path, capsys):
    from scipy.stats import pearsonr

    points = [(0.6, 0.5), (0.9, 0.8), (0.75, 0.74), (0.87, 0.7)]
    models = [_model(tmp_path / f"m{k}", *xy) for k, xy in enumerate(points)]
    assert main(["compare", *models, "--correlate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["correlations"]
    assert [(x["first"], x["second"], x["runs"]) for x in found] == [
        ("probe_class2binary accuracy", "pope_test accuracy", 4)
    ]
    x, y = zip(*points, strict=True)
    assert found[0]["pearson"] == pytest.approx(pearsonr(x, y).statistic)
    assert found[0]["spearman"] == pytest.approx(0.8)
    assert found[0]["spearman_p"] == pytest.approx(8 / 24)  # of all orders
    assert main(["compare", *models[:2], "--correlate", "pope_test"]) == 0
    assert "no coefficient for fewer than 3 runs" in capsys.readouterr().out
    assert "no run is on 'gqa_testdev_balanced'" in _refused(capsys, *models, "--correlate", "gqa")


def test_no_torch(make, repository):
    words = ["compare", str(make("a", 0.1)), str(make("b", 0.2))]
    code = (
        "import sys; from collavo.cli.main import main; "
        f"assert main({words!r}) == 0; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True)
    assert done.returncode == 0, done.stderr
