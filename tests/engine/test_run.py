"""Whole runs in one process: what is asked, what is stored, what is never served stale."""

from __future__ import annotations

import json
import os

import pytest

from collavo.registry import ARCHITECTURES


def test_answers_every_sample_once(bench):
    run = bench.run()
    assert run.code == 0
    assert run.results["counts"] == {"expected": 30, "answered": 30, "failed": 0}
    assert len(bench.asked()) == 30
    assert [p["question_id"] for p in run.predictions] == [row["id"] for row in bench.rows()]
    assert (run.folder / "exit_code").read_text() == "0\n"
    first = run.predictions[0]
    assert first["prompt"].startswith("<image>The image includes (#1 class")
    assert first["crayon_text"] in first["prompt"]
    assert first["parsed"] in ("yes", "no") and first["correct"] in (True, False)
    accuracy = sum(p["correct"] for p in run.predictions) / 30
    assert run.results["headline"] == {"accuracy": pytest.approx(accuracy)}
    assert run.results["tables"][1]["title"] == "Seen"


def test_same_bytes_for_any_batch_and_any_reuse(bench):
    whole = bench.run()
    for keys in (
        {"EVAL__BATCH_SIZE": 1},
        {"EVAL__BATCH_SIZE": 7},
        {"EVAL__TOKEN_BUDGET": 50},
        {"DATALOADER__NUM_WORKERS": 0},
        {"EVAL__REUSE": "none"},
        {"EVAL__REUSE": "vision"},
        {"MODEL__NAME": "fake_plain"},
    ):
        again = bench.run("--fresh", **keys)
        assert again.bytes == whole.bytes, keys
        assert again.results["scores"] == whole.results["scores"]


def test_segments_each_image_once(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_SEGMENT_LOG", str(tmp_path / "segmented"))
    bench.run()
    assert len((tmp_path / "segmented").read_text().splitlines()) == 6
    bench.run(EVAL__REUSE="none")
    assert len((tmp_path / "segmented").read_text().splitlines()) == 6 + 30


def test_second_run_computes_nothing(bench):
    first = bench.run()
    bench.asked()
    second = bench.run()
    assert (second.folder, second.bytes) == (first.folder, first.bytes)
    assert bench.asked() == []
    assert second.results["scores"] == first.results["scores"]
    assert second.results["timings"]["taken_up"] == 30


def test_fresh_computes_all(bench):
    bench.run()
    bench.asked()
    assert bench.run("--fresh").code == 0
    assert len(bench.asked()) == 30


def test_resumes_by_set_difference(bench):
    whole = bench.run()
    bench.asked()
    part = next((whole.folder / "parts").glob("*.jsonl"))
    lines = part.read_text().splitlines(keepends=True)
    kept = [line for k, line in enumerate(lines) if k % 3]
    part.write_text("".join(kept) + lines[0][: len(lines[0]) // 2])  # and one cut in half
    resumed = bench.run()
    assert resumed.bytes == whole.bytes
    assert len(bench.asked()) == 30 - len(kept)
    assert part.read_text() == "".join(kept)  # the cut line is gone
    assert resumed.results["scores"] == whole.results["scores"]


def test_a_damaged_line_is_named(bench, capsys):
    run = bench.run()
    part = next((run.folder / "parts").glob("*.jsonl"))
    part.write_text("{not json}\n" + part.read_text())
    assert bench.run().code == 2
    assert f"{part.name}:1 is no JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    "keys",
    [
        {"GENERATION__NUM_BEAMS": 2},
        {"GENERATION__MAX_NEW_TOKENS": 3},
        {"CRAYON__MODE": "map_only"},
        {"CRAYON__MODE": "none"},
        {"SEGMENTER__THRESHOLD": 0.25},
        {"RANDOM_SEED": 3},
        {"EVAL__LIMIT": 29},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_settings_that_change_answers_have_a_folder_of_their_own(bench, keys):
    first = bench.run()
    bench.asked()
    other = bench.run(**keys)
    assert other.folder != first.folder
    assert len(bench.asked()) == other.results["counts"]["expected"]


def test_new_weights_at_the_same_path(bench, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("one")
    first = bench.run(MODEL__WEIGHTS=weights)
    weights.write_text("two")
    second = bench.run(MODEL__WEIGHTS=weights)
    assert first.folder != second.folder
    assert [p["answer"] for p in first.predictions] != [p["answer"] for p in second.predictions]


@pytest.mark.parametrize("field", ["question", "answer", "image"])
def test_edited_rows_are_asked_again(bench, field):
    first = bench.run()
    bench.asked()
    rows = bench.rows()
    rows[0][field] = {"question": "Is it new?", "answer": "maybe", "image": "1.png"}[field]
    bench.write_rows(rows)
    second = bench.run()
    assert second.folder != first.folder
    assert len(bench.asked()) == 30


def test_an_edited_image_is_answered_again(bench):
    first = bench.run()
    bench.asked()
    bench.draw("2.png", (1, 2, 3))
    second = bench.run()
    assert second.folder == first.folder
    assert len(bench.asked()) == 5
    changed = [
        a["sample_id"]
        for a, b in zip(first.predictions, second.predictions, strict=True)
        if a["answer"] != b["answer"]
    ]
    assert sorted(changed) == [f"fake_set:2-{q}" for q in range(5)]


def test_run_dir_of_another_configuration_is_refused(bench, tmp_path, capsys):
    there = tmp_path / "here"
    assert bench.run(EVAL__RUN_DIR=there).code == 0
    assert bench.run(EVAL__RUN_DIR=there, GENERATION__NUM_BEAMS=1).code == 2
    error = capsys.readouterr().err
    assert "generation.num_beams (3 there, 1 now)" in error and "--fresh" in error
    assert (there / "predictions.jsonl").exists()
    assert bench.run("--fresh", EVAL__RUN_DIR=there, GENERATION__NUM_BEAMS=1).code == 0


def test_limit_and_samples_are_subsets(bench, tmp_path):
    run = bench.run("--limit", "4")
    assert run.results["counts"]["expected"] == 4
    assert run.results["flags"]["subset"] is True
    run = bench.run("--samples", "fake_set:3-1,5-2")
    assert [p["sample_id"] for p in run.predictions] == ["fake_set:3-1", "fake_set:5-2"]
    (tmp_path / "ids").write_text("1-1\n\nfake_set:1-2\n")
    run = bench.run("--samples", f"@{tmp_path / 'ids'}")
    assert len(run.predictions) == 2
    assert bench.run().results["flags"]["subset"] is False


def test_unknown_sample_ids_are_named(bench, capsys):
    assert bench.run("--samples", "3-1,nope").code == 2
    assert "nope" in capsys.readouterr().err


def test_several_datasets_and_their_folders(bench, capsys):
    assert bench.run(DATASETS__TEST="fake_set,fake_set2").code == 0
    assert len(list(bench.save.glob("*/*/results.json"))) == 2
    out = capsys.readouterr().out
    assert out.count("results.json") == 2


def test_questions_without_image(bench):
    bench.write_rows(
        bench.rows()
        + [{"id": f"t{k}", "image": None, "question": f"Say {k}", "answer": "no"} for k in range(3)]
    )
    run = bench.run()
    assert run.results["counts"] == {"expected": 33, "answered": 33, "failed": 0}
    assert run.predictions[-1]["crayon_text"] == ""
    alone = bench.run("--fresh", EVAL__BATCH_SIZE=1)
    assert alone.bytes == run.bytes


def test_published_figures_stand_beside_ours(bench, monkeypatch):
    flagged = bench.run().results["published"][0]  # the fake's weights are untrained
    assert (flagged["same"], flagged["difference"]) == (False, None)
    monkeypatch.setattr(ARCHITECTURES.get("fake"), "untrained", False)
    rows = bench.run().results["published"]
    assert rows[0]["same"] and rows[0]["difference"] == pytest.approx(rows[0]["ours"] - 0.25)
    assert rows[1]["ours"] is None and rows[1]["difference"] is None


def test_parts_of_a_dataset_are_not_set_beside_published_figures(bench, monkeypatch):
    bench.run()
    monkeypatch.setattr(ARCHITECTURES.get("fake"), "untrained", False)
    row = bench.run("--limit", "4").results["published"][0]
    assert (row["same"], row["difference"]) == (False, None) and row["ours"] is not None


def test_the_parser_that_reads_the_answers(bench):
    first = bench.run(EVALUATOR="yes_no")
    bench.asked()
    second = bench.run(EVALUATOR="yes_no", EVAL__PARSER="pope")
    assert (first.results["parser"], second.results["parser"]) == ("official", "pope")
    assert (second.folder, bench.asked()) == (first.folder, [])  # the answers are the same


def test_pictures_of_the_first_images(bench):
    run = bench.run(VIS__SAMPLES=3)
    names = sorted(p.name for p in (run.folder / "pictures").iterdir())
    assert names == ["01-fake_set_0-0.png", "02-fake_set_1-1.png", "03-fake_set_2-0.png"]


def test_pictures_show_all_questions_of_an_image_with_their_answers(bench, monkeypatch):
    """Also those that an earlier launch answered."""
    from collavo.modeling.crayon import draw

    drawn = []
    monkeypatch.setattr(
        draw, "with_captions", lambda sheet, asked, *_: drawn.append(asked) or sheet
    )
    bench.run("--limit", "1", VIS__SAMPLES=1)
    folder = bench.run(VIS__SAMPLES=1).folder
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    first = [row for row in rows if row["image"] == rows[0]["image"]]
    assert len(first) > 1 and len(drawn[-1]) == len(first)
    for (question, answer), row in zip(drawn[-1], first, strict=True):
        assert question == row["question"]
        assert answer == f"{row['answer']}  (reference: {row['reference']})"


def test_config_and_fingerprint_are_kept(bench):
    run = bench.run()
    assert "NUM_BEAMS: 3" in (run.folder / "config.yaml").read_text()
    items = json.loads((run.folder / "fingerprint.json").read_text())
    assert items == run.results["fingerprint"]["items"]
    assert run.folder.name == run.results["fingerprint"]["name"]


def test_batch_size_of_the_section_is_rounded_up(bench, monkeypatch):
    from collavo.engine.tasks import make_tasks

    sizes = []
    from collavo.config import get_cfg

    bench.run()
    words = ["DATASETS.TEST=fake_set", "POPE.TEST.BATCH_SIZE_TOTAL=20"]
    task = make_tasks(lambda benchmark: get_cfg((), words, None, benchmark))[0]
    sizes.append(task.batch_size)
    task.metadata.__dict__["config_block"] = "POPE"
    sizes.append(task.batch_size)
    del task.metadata.__dict__["config_block"]
    assert sizes == [0, 20]


def test_clocks_decide_nothing(bench, monkeypatch):
    first = bench.run()
    bench.asked()
    for k, file in enumerate(sorted(first.folder.rglob("*"))):
        os.utime(file, (k * 1e9, 4e9 - k * 1e9))
    monkeypatch.setattr("time.time", lambda: 1e9)
    second = bench.run()
    assert (second.folder, second.bytes, bench.asked()) == (first.folder, first.bytes, [])


def test_many_questions_on_an_image_are_worded_once(bench, monkeypatch):
    """Not once for each unit of the image, of which 1,600 questions make four."""
    bench.run()  # registers the plug-in
    model = ARCHITECTURES.get("fake")
    worded, tokenize = [], model.tokenize
    monkeypatch.setattr(model, "tokenize", lambda self, p: worded.append(p) or tokenize(self, p))

    def calls(questions):
        bench.make_data(images=1, questions=questions)
        worded.clear()
        assert bench.run("--fresh").results["counts"]["answered"] == questions
        return len(worded) / questions

    few, many = calls(400), calls(1600)
    assert many <= few
