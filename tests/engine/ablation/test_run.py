"""An ablation from plan to table: what is run, what is kept, what goes on after a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def test_every_arm_and_seed_is_trained_and_evaluated_once(ablation):
    code, said = ablation.run("--to", str(ablation.folder / "docs" / "toy.md"))
    assert code == 0, said
    trained, evaluated = ablation.calls("train"), ablation.calls("eval")
    # two arms with two stages, two seeds; the third arm uses the second's weights
    assert len(trained) == 8
    assert len(evaluated) == 6
    first, second = (x["settings"] for x in trained[:2])
    assert (first["TRAIN.MAX_STEPS"], first["RANDOM_SEED"], first["CRAYON.MODE"]) == (3, 0, "none")
    assert "OPTIMIZER.LR" not in first
    assert second["OPTIMIZER.LR"] == 0.5
    assert second["MODEL.WEIGHTS"] == f"{first['TRAIN.DIR']}/export"
    last = evaluated[-1]["settings"]
    assert last["CRAYON.MODE"] == "map_only"
    assert last["MODEL.WEIGHTS"] == f"{trained[-1]['settings']['TRAIN.DIR']}/export"
    found = json.loads((ablation.folder / "docs" / "toy.json").read_text())
    assert found == ablation.result()
    assert set(found["arms"]["none"]["figures"]["all"]["seeds"]) == {"0", "1"}
    text = (ablation.folder / "docs" / "toy.md").read_text()
    assert "# A toy" in text
    assert "| no crayon | 0." in text
    assert "toy_set: 48 questions on 12 images." in text

    ablation.forget_calls()
    again, said = ablation.run()
    assert (again, ablation.calls()) == (0, [])
    assert "no crayon" in said


def test_what_changed_is_run_again_and_nothing_else(ablation):
    ablation.run()
    ablation.forget_calls()
    ablation.arm("no_text")["eval"] = {"CRAYON.MODE": "text_only"}
    assert ablation.run()[0] == 0
    assert [c["command"] for c in ablation.calls()] == ["eval", "eval"]
    ablation.forget_calls()
    # the first stage stays, and where only the evaluation changes, so does all training
    ablation.plan["stages"][1]["set"] = {"OPTIMIZER.LR": 0.25}
    ablation.run("--arms", "full", "--seeds", "1")
    assert [c.get("stage") for c in ablation.calls()] == ["second", None]
    ablation.forget_calls()
    ablation.run("--arms", "full", "--seeds", "1", EVAL__LIMIT=24)
    assert [c["command"] for c in ablation.calls()] == ["eval"]
    ablation.forget_calls()
    ablation.run("--arms", "full", "--seeds", "1", "--fresh", EVAL__LIMIT=24)
    assert [c.get("stage") for c in ablation.calls()] == ["first", "second", None]


def test_arms_that_begin_alike_share_the_stage(ablation):
    ablation.plan["arms"] = [
        {"name": "full"},
        {
            "name": "longer",
            "stages": [
                ablation.plan["stages"][0],
                {"file": ablation.plan["stages"][1]["file"], "set": {"TRAIN.MAX_STEPS": 9}},
            ],
        },
    ]
    assert ablation.run("--seeds", "1", "--jobs", "2")[0] == 0
    assert sorted(c["stage"] for c in ablation.calls("train")) == ["first", "second", "second"]


def test_several_run_at_once_with_their_share_of_the_cores(ablation, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("FAKE_TOGETHER", "2")  # neither ends before the other has begun
    ablation.plan["stages"] = ablation.plan["stages"][:1]
    assert ablation.run("--arms", "none,full", "--jobs", "2", "--seeds", "1")[0] == 0
    assert len(ablation.calls("train")) == 2
    assert {c["threads"] for c in ablation.calls()} == {"4"}


def test_an_arm_that_fails_is_reported_and_the_others_go_on(ablation, monkeypatch):
    monkeypatch.setenv("FAKE_BAD_LOSS", "sample_mean")
    ablation.arm("full")["train"] = {"TRAIN.LOSS": "sample_mean"}
    code, said = ablation.run("--seeds", "1")
    assert code == 3
    found = ablation.result()
    assert [x["arm"] for x in found["failures"]] == ["full", "no_text"]
    failure, second = found["failures"]
    assert (failure["step"], failure["code"]) == ("train", 2)
    assert failure["words"] == ["error: the loss is not to be had", "use another"]
    assert Path(failure["log"]).read_text().startswith("loading")
    assert second["words"] == ["its weights could not be trained, see full, seed 0"]
    assert len(ablation.calls("train")) == 3  # no_text has not tried again
    assert set(found["arms"]["none"]["figures"]) == {"all", "two"}
    assert "Not finished: full, seed 0." in said
    assert "the loss is not to be had" in said

    monkeypatch.delenv("FAKE_BAD_LOSS")
    ablation.forget_calls()
    assert ablation.run("--seeds", "1")[0] == 0
    assert [c.get("stage") for c in ablation.calls()] == ["first", "second", None, None]


def test_report_runs_nothing(ablation):
    ablation.run("--arms", "none,no_text")
    ablation.forget_calls()
    code, said = ablation.run("--report")
    assert (code, ablation.calls()) == (0, [])
    assert "Not finished: full, seed 0, 1." in said
    assert "Difference" not in said  # the reference is not there


def test_interrupted_it_asks_the_commands_to_stop_and_goes_on_later(ablation, repository):
    script = ablation.folder / "start.py"
    lines = [
        "import signal, sys",
        "from collavo.engine.ablation import runner",
        "from collavo.cli.main import main",
        "signal.signal(signal.SIGINT, signal.default_int_handler)",  # a job of a shell ignores it
        f"runner.COMMAND = {list(_fake())!r}",
        "raise SystemExit(main(sys.argv[1:]))",
    ]
    script.write_text("\n".join(lines))
    process = subprocess.Popen(
        [sys.executable, str(script), *ablation.words()],
        env={**os.environ, "FAKE_SLEEP": "600"},
        cwd=repository,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 300
        while not ablation.calls("train"):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1]
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "interrupted; what is finished is kept" in said
    assert len(ablation.calls("stopped")) == 1
    assert ablation.run("--arms", "none")[0] == 0


def _fake() -> tuple[str, str]:
    return sys.executable, str(Path(__file__).parent / "plugin" / "fake_command.py")


def test_two_datasets_and_weights_that_are_given(ablation, tmp_path):
    (tmp_path / "base").mkdir()
    ablation.plan["figures"].append({"dataset": "toy_set2", "figure": "accuracy", "name": "other"})
    ablation.plan["arms"].append({"name": "base", "weights": str(tmp_path / "base")})
    assert ablation.run("--arms", "base,full", "--seeds", "1")[0] == 0
    found = ablation.result()["arms"]["base"]["figures"]
    assert found.keys() == {"all", "two", "other"}
    assert ablation.calls("eval")[0]["settings"]["DATASETS.TEST"] == "toy_set,toy_set2"


def test_other_questions_are_not_compared(ablation):
    ablation.arm("none")["eval"] = {"EVAL.LIMIT": 8}
    code, said = ablation.run("--seeds", "1")
    assert code == 2
    assert "asked other questions of 'toy_set' than" in said
    assert "(48 and 8)" in said


def test_an_unknown_figure_names_those_near_it(ablation):
    ablation.plan["figures"][0]["figure"] = "groups.q0"
    code, said = ablation.run("--seeds", "1", "--arms", "none")
    assert code == 2
    assert "no figure 'groups.q0'. Did you mean: groups.q0.accuracy?" in said


@pytest.mark.parametrize(
    ("options", "keys", "message"),
    [
        (["--seeds", "0"], {}, "--seeds: '0' names no seed; say how many"),
        (["--seeds", "1,1"], {}, "--seeds: '1,1' names a seed twice"),
        (["--seeds", "-1"], {}, "--seeds is '-1'; it must be a whole number, at least 0"),
        (["--arms", "ful"], {}, "--arms: no arm 'ful'. Did you mean 'full'?"),
        (["--jobs", "0"], {}, "--jobs 0 must be at least 1"),
        (["--report", "--fresh"], {}, "--report runs nothing and --fresh starts anew"),
        (["--to", "x.json"], {}, "--to x.json names the Markdown file"),
        ([], {"RANDOM_SEED": 4}, "RANDOM_SEED is set by the ablation itself: seeds come from"),
        ([], {"TRAIN__MAX_STEP": 4}, "unknown key 'TRAIN.MAX_STEP'"),
    ],
)
def test_bad_options_are_told(ablation, options, keys, message):
    code, said = ablation.run(*options, **keys)
    assert code == 2
    assert message in said
    assert not ablation.calls()


def test_it_is_not_for_a_launcher(ablation, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    code, said = ablation.run()
    assert code == 2
    assert "run it without accelerate launch" in said


def test_it_loads_no_torch(ablation, repository):
    ablation.run("--arms", "none", "--seeds", "1")
    words = ablation.words("--arms", "none", "--seeds", "1", "--report")
    script = (
        "import sys; from collavo.cli.main import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; raise SystemExit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
