"""What goes wrong in a run: each fault ends where it belongs, with its message and exit code."""

from __future__ import annotations

import errno
import json
import os

import pytest
from PIL import Image

from collavo.cli.main import main
from collavo.engine import accelerator, compute
from collavo.engine.store import Appender


def test_a_failing_sample_is_recorded_and_the_run_goes_on(bench, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_RAISE", "thing 3 in image 2")
    run = bench.run()
    assert run.code == 3
    assert run.results["counts"] == {"expected": 30, "answered": 29, "failed": 1}
    assert run.results["scores"] is None and run.results["headline"] is None
    failed = run.results["failed"]
    assert failed == [
        {"sample_id": "fake_set:2-3", "error": "RuntimeError: the fake model was told to fail"}
    ]
    assert "fake_set:2-3" in capsys.readouterr().out
    assert (run.folder / "exit_code").read_text() == "3\n"
    assert sum(p["error"] is not None for p in run.predictions) == 1


def test_a_failed_sample_is_tried_again_by_the_next_run(bench, monkeypatch):
    monkeypatch.setenv("FAKE_RAISE", "thing 3 in image 2")
    assert bench.run().code == 3
    bench.asked()
    monkeypatch.delenv("FAKE_RAISE")
    run = bench.run()
    assert (run.code, len(bench.asked())) == (0, 1)
    assert run.bytes == bench.run("--fresh").bytes


def test_allowed_failures_are_left_out_and_said(bench, monkeypatch):
    monkeypatch.setenv("FAKE_RAISE", "in image 2")
    assert bench.run("--allow-failures", "4").code == 3
    run = bench.run("--allow-failures", "5")
    assert run.code == 0
    assert run.results["flags"]["failures"] is True
    assert run.results["scores"]["questions"] == 25
    assert run.results["counts"]["failed"] == 5


def test_a_model_that_always_fails_ends_the_run(bench, monkeypatch, capsys):
    monkeypatch.setattr(compute, "HOPELESS", 6)
    monkeypatch.setenv("FAKE_RAISE", "thing")
    assert bench.run().code == 1
    assert "the first 6 samples all failed while computing" in capsys.readouterr().err


def test_a_broken_device_is_no_failure_of_samples(bench, monkeypatch):
    monkeypatch.setenv("FAKE_CUDA", "thing 1 in image 1")
    with pytest.raises(RuntimeError, match="CUDA error"):
        bench.run()
    assert not list(bench.save.glob("*/*/results.json"))
    run = bench.run()  # it breaks the device of a child process, twice alone
    assert run.code == 3
    assert [f["sample_id"] for f in run.results["failed"]] == ["fake_set:1-1"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.write_bytes(b""), "is empty (0 bytes)"),
        (lambda p: p.write_bytes(p.read_bytes()[:60]), "damaged or cut off"),
        (lambda p: p.write_bytes(b"not an image"), "is no JPEG"),
        (lambda p: p.chmod(0o000) or p.unlink() or p.mkdir(), "Is a directory"),
    ],
    ids=["empty", "truncated", "text", "folder"],
)
def test_a_broken_image_fails_its_samples_only(bench, spoil, message):
    Image.effect_noise((64, 64), 90).convert("RGB").save(bench.data / "4.png")
    spoil(bench.data / "4.png")
    if (bench.data / "4.png").is_dir():
        run = bench.run("--allow-failures", "5")
    else:
        run = bench.run()
        assert run.code == 3
    assert run.results["counts"]["failed"] == 5
    assert all(f["sample_id"].startswith("fake_set:4-") for f in run.results["failed"])
    assert message in run.results["failed"][0]["error"]


def test_missing_images_are_named_before_a_model_is_loaded(bench, monkeypatch, capsys):
    (bench.data / "1.png").unlink()
    (bench.data / "3.png").unlink()
    monkeypatch.setattr(
        "collavo.engine.models.Models.get", lambda *a: pytest.fail("a model was loaded")
    )
    assert bench.run().code == 2
    error = capsys.readouterr().err
    assert "2 image files of 10 samples are missing" in error and "1.png" in error
    assert "DATASETS.ROOT" in error


def test_out_of_memory_halves_the_rows(bench, monkeypatch):
    whole = bench.run()
    bench.asked()
    monkeypatch.setenv("FAKE_ROWS", "4")
    run = bench.run("--fresh")
    assert (run.code, run.bytes) == (0, whole.bytes)


def test_out_of_memory_halves_the_images(bench, monkeypatch):
    whole = bench.run()
    monkeypatch.setenv("FAKE_IMAGES", "1")
    run = bench.run("--fresh")
    assert (run.code, run.bytes) == (0, whole.bytes)


def test_no_memory_for_one_row_fails_it(bench, monkeypatch):
    monkeypatch.setenv("FAKE_IMAGES", "0")
    bench.make_data(images=2, questions=2)
    run = bench.run()
    assert run.code == 3 and run.results["counts"]["failed"] == 4


def test_a_full_disk_keeps_what_is_finished(bench, monkeypatch, capsys):
    whole = bench.run()
    real, budget = Appender._write_all, [3]

    def full(self, data):
        if "parts" in str(self.path):
            budget[0] -= 1
            if budget[0] < 0:
                os.write(self._fd, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    bench.asked()
    monkeypatch.setattr(Appender, "_write_all", full)
    assert bench.run("--fresh", EVAL__BATCH_SIZE=4).code == 2
    assert "the disk is full" in capsys.readouterr().err
    parts = [p.read_bytes() for p in (whole.folder / "parts").glob("*.jsonl")]
    assert sum(p.count(b"\n") for p in parts) == 12 and all(p.endswith(b"\n") for p in parts)
    monkeypatch.setattr(Appender, "_write_all", real)
    bench.asked()
    assert bench.run().bytes == whole.bytes
    assert len(bench.asked()) == 18


def test_a_folder_that_cannot_be_written_is_refused_at_once(bench, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "collavo.engine.models.Models.get", lambda *a: pytest.fail("a model was loaded")
    )
    assert main(bench.words(SAVE_DIR=tmp_path / "file")) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_file_where_results_should_go(bench, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(bench.words(SAVE_DIR=tmp_path / "file")) == 2
    error = capsys.readouterr().err
    assert "Choose a folder that can be made with SAVE_DIR" in error and "is kept" not in error


def test_read_only_folder_says_what_to_do(bench, monkeypatch, capsys):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert main(bench.words()) == 2
    assert "SAVE_DIR" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished(bench, monkeypatch, capsys):
    whole = bench.run()
    real, calls = Appender.write, []

    def interrupted(self, lines):
        real(self, lines)
        if "parts" in str(self.path):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(Appender, "write", interrupted)
    run = bench.run("--fresh", EVAL__BATCH_SIZE=5)
    assert run.code == 130
    assert (run.folder / "exit_code").read_text() == "130\n"
    assert "run it again to go on" in capsys.readouterr().err
    rows = (run.folder / "started" / "0001-0000.jsonl").read_text().splitlines()
    assert json.loads(rows[-1]) == {"released": True}
    monkeypatch.setattr(Appender, "write", real)
    bench.asked()
    assert bench.run().bytes == whole.bytes
    assert len(bench.asked()) == 20


def test_verify_counts_flips(bench, monkeypatch, capsys):
    run = bench.run("--verify", "7")
    assert run.code == 0
    assert run.results["verify"] == {"samples": 7, "flips": []}
    monkeypatch.setenv("FAKE_FLIP", "1")
    run = bench.run("--verify", "7")
    assert run.code == 4 and (run.folder / "exit_code").read_text() == "4\n"
    assert len(run.results["verify"]["flips"]) == 7
    assert "7 answered again, 7 differ" in capsys.readouterr().out
    assert bench.run("--verify", "7", EVAL__MAX_FLIPS=7).code == 0
    assert bench.run("--verify", "99", EVAL__MAX_FLIPS=30).results["verify"]["samples"] == 30


def test_verify_and_likelihood_exclude_each_other(bench, capsys):
    assert bench.run("--verify", "3", EVAL__SCORING="likelihood").code == 2
    assert "EVAL.SCORING" in capsys.readouterr().err


def test_likelihood_picks_the_likelier_answer(bench):
    run = bench.run(EVAL__SCORING="likelihood")
    assert run.code == 0
    assert {p["answer"] for p in run.predictions} == {"Yes", "No"}
    assert 0 <= run.results["likelihood"]["auroc"] <= 1
    assert run.results["likelihood"]["questions"] == 30
    assert bench.run("--fresh", EVAL__SCORING="likelihood", EVAL__BATCH_SIZE=1).bytes == run.bytes


def test_likelihood_scores_questions_without_image_too(bench):
    words = [
        {"id": f"t{k}", "image": None, "question": f"Say {k}", "answer": "no"} for k in range(3)
    ]
    bench.write_rows(bench.rows() + words)
    run = bench.run(EVAL__SCORING="likelihood")
    assert run.code == 0 and run.results["likelihood"]["questions"] == 33
    alone = bench.run("--fresh", EVAL__SCORING="likelihood", EVAL__BATCH_SIZE=1)
    assert alone.bytes == run.bytes


def test_likelihood_needs_a_shared_prefix(bench, capsys):
    assert bench.run(EVAL__SCORING="likelihood", EVAL__REUSE="none").code == 2
    assert "EVAL.REUSE prefix" in capsys.readouterr().err


def test_dry_run_says_what_it_would_take_and_stores_nothing(bench, capsys):
    assert bench.run("--dry-run").code == 0
    out = capsys.readouterr().out
    for label in ("questions ", "images ", "dedupe factor", "weights", "estimated time"):
        assert label in out
    assert not bench.save.exists()
    bench.asked()
    assert bench.run(LLM__LOAD_LLM=False).code == 0
    assert bench.asked() == []


def test_a_pipeline_of_another_kind_is_refused(bench, capsys):
    assert bench.run(PIPELINE="mme").code == 0  # also yes/no
    from collavo.registry import PIPELINES

    PIPELINES.get("fake_pipeline").answer_type = "choice"
    try:
        assert bench.run().code == 2
    finally:
        PIPELINES.get("fake_pipeline").answer_type = "yes_no"
    assert "'choice'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"DATASETS__TEST": ""}, "DATASETS.TEST is empty"),
        ({"DATASETS__TEST": "fake_sett"}, "Did you mean: fake_set"),
        ({"PIPELINE": "fake_pipelin"}, "Did you mean: fake_pipeline"),
        ({"MODEL__NAME": "fakee"}, "Did you mean: fake"),
        ({"SEGMENTER__NAME": "fake_segment"}, "Did you mean: fake_segments"),
        ({"EVALUATOR": "fake_evaluato"}, "Did you mean: fake_evaluator"),
        ({"EVAL__PARSER": "llava"}, "no parser 'llava': FakeEvaluator reads answers in one way"),
        ({"EVALUATOR": "yes_no", "EVAL__PARSER": "popp"}, "Did you mean: pope"),
        ({"RESUME_FROM": "/no/such"}, "RESUME_FROM '/no/such': there is no such folder"),
        ({"SEGMENTER__WEIGHTS": "/no/such"}, "SEGMENTER.WEIGHTS '/no/such': there is no such"),
        ({"EVAL__REUSE": "prefx"}, "EVAL.REUSE cannot be 'prefx'"),
        ({"DEVICE": "cuda"}, "torch sees no CUDA device"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_wrong_names_are_answered_with_suggestions(bench, capsys, keys, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert bench.run(**keys).code == 2
    assert message in capsys.readouterr().err


def test_missing_weights_are_named_before_a_dataset_is_read(bench, capsys):
    (bench.data / "questions.jsonl").write_text("{broken")
    assert bench.run(MODEL__WEIGHTS="/no/such").code == 2
    assert "MODEL.WEIGHTS '/no/such': there is no such folder" in capsys.readouterr().err


def test_the_launcher_and_accelerate_must_agree(bench, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(accelerator, "end_with_parent", lambda: None)
    assert bench.run().code == 2
    assert "multi_cpu.yaml" in capsys.readouterr().err
