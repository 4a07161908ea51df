"""The training loop as a whole: curves, resuming, processes, steps that are no number."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

Toy = Callable[..., Any]
Metrics = Callable[..., list[dict[str, Any]]]


def test_trains_and_leaves_everything(toy: Toy, metrics: Metrics, tmp_path: Path) -> None:
    done = toy()
    assert done.returncode == 0, done.stderr
    rows = metrics()
    assert [row["step"] for row in rows] == list(range(1, 21))
    assert rows[-1]["loss"] < 0.85 * rows[0]["loss"]
    assert rows[0]["lr"] == pytest.approx(0.02)
    assert rows[-1]["lr"] < rows[0]["lr"] / 5
    run = tmp_path / "run"
    assert (run / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (run / "exit_code").read_text() == "0\n"
    kept = sorted(p.name for p in (run / "checkpoints").glob("step-*"))
    assert kept == ["step-00000015", "step-00000020"]
    assert os.readlink(run / "checkpoints" / "latest") == "step-00000020"
    stored = load_file(run / "checkpoints" / "latest" / "weights.safetensors")
    assert sorted(stored) == ["body.0.bias", "body.0.weight", "head.bias", "head.weight"]
    assert (run / "export" / "model.safetensors").is_file()
    assert "lm_head" not in done.stderr
    assert "trains 180 numbers" in done.stderr


def test_finished_run_is_not_run_again(toy: Toy, tmp_path: Path) -> None:
    toy(TRAIN__MAX_STEPS=5)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = toy(TRAIN__MAX_STEPS=5)
    assert again.returncode == 0
    assert "is finished" in again.stderr
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_killed_run_goes_on_as_if_unbroken(
    toy: Toy, metrics: Metrics, tmp_path: Path, dropout: float
) -> None:
    assert toy("whole", TRAIN__PLORA_DROPOUT=dropout).returncode == 0
    killed = toy("broken", env={"TOY_KILL": "12"}, TRAIN__PLORA_DROPOUT=dropout)
    assert killed.returncode == -signal.SIGKILL
    assert len(metrics("broken")) == 12
    resumed = toy("broken", TRAIN__PLORA_DROPOUT=dropout)
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after step 10" in resumed.stderr
    assert metrics("broken") == metrics("whole")
    whole, broken = (
        load_file(tmp_path / name / "export" / "model.safetensors") for name in ("whole", "broken")
    )
    assert all((whole[name] == broken[name]).all() for name in whole)


def test_two_processes_and_accumulation_give_the_same_curve(toy: Toy, metrics: Metrics) -> None:
    assert toy("one", TRAIN__MAX_STEPS=50).returncode == 0
    two = toy("two", 2, TRAIN__MAX_STEPS=50)
    assert two.returncode == 0, two.stderr
    assert toy("parts", TRAIN__MAX_STEPS=50, OPTIMIZER__GRAD_CUM=4).returncode == 0
    for name in ("two", "parts"):
        for row, other in zip(metrics("one"), metrics(name), strict=True):
            assert other["loss"] == pytest.approx(row["loss"], abs=1e-5)
            assert other["tokens"] == row["tokens"] == 8
            assert other["accuracy"] == pytest.approx(row["accuracy"])


def test_resumes_with_another_number_of_processes(toy: Toy, metrics: Metrics) -> None:
    assert toy("whole").returncode == 0
    assert toy("moved", env={"TOY_KILL": "12"}).returncode != 0
    resumed = toy("moved", 2)
    assert resumed.returncode == 0, resumed.stderr
    for row, other in zip(metrics("whole"), metrics("moved"), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], abs=1e-5)


def test_steps_that_are_no_number_are_skipped_and_counted(toy: Toy, metrics: Metrics) -> None:
    done = toy(env={"TOY_POISON": "3,7"})
    assert done.returncode == 0, done.stderr
    rows = metrics()
    assert [row["step"] for row in rows if row["loss"] is None] == [4, 8]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert "step 4 (samples of process 0: toy:3-0, toy:3-1" in done.stderr


def test_too_many_such_steps_end_the_training(toy: Toy, tmp_path: Path) -> None:
    done = toy(env={"TOY_POISON": "3,7,9"}, TRAIN__MAX_BAD_STEPS=2)
    assert done.returncode == 2
    assert "3 steps had a loss or gradient that is no number" in done.stderr
    assert "toy:9-0" in done.stderr
    assert (tmp_path / "run" / "checkpoints" / "latest").resolve().name == "step-00000005"


def test_another_configuration_is_refused_where_it_matters(toy: Toy) -> None:
    assert toy(TRAIN__MAX_STEPS=5).returncode == 0
    refused = toy(TRAIN__MAX_STEPS=5, OPTIMIZER__LR=0.5)
    assert refused.returncode == 2
    assert "OPTIMIZER.LR (0.01 there, 0.5 now)" in refused.stderr
    assert "Choose another TRAIN.DIR, or start anew there with --fresh" in refused.stderr
    assert toy(TRAIN__MAX_STEPS=5, TRAIN__SAVE_STEPS=2).returncode == 0


def test_batch_has_to_divide(toy: Toy) -> None:
    refused = toy(TRAIN__BATCH_SIZE=6, OPTIMIZER__GRAD_CUM=4)
    assert refused.returncode == 2
    assert "TRAIN.BATCH_SIZE is 6" in refused.stderr
    assert "multiple of 4 (1 processes x OPTIMIZER.GRAD_CUM 4)" in refused.stderr


def test_checkpoint_cut_off_while_it_was_written_is_not_taken(
    toy: Toy, metrics: Metrics, tmp_path: Path
) -> None:
    assert toy("whole").returncode == 0
    assert toy(env={"TOY_KILL": "12"}).returncode != 0
    folder = tmp_path / "run" / "checkpoints"
    (folder / "step-00000011").mkdir()
    (folder / "step-00000011" / "weights.safetensors").write_bytes(b"cut")
    (folder / "latest").unlink()
    assert toy().returncode == 0
    assert metrics() == metrics("whole")


def test_full_disk_leaves_the_last_good_checkpoint(
    toy: Toy, metrics: Metrics, tmp_path: Path
) -> None:
    assert toy("whole").returncode == 0
    full = toy(env={"TOY_FULL": "7"})
    assert full.returncode == 2
    assert "the checkpoint of step 10 cannot be written" in full.stderr
    assert "it goes on from" in full.stderr
    folder = tmp_path / "run" / "checkpoints"
    assert (folder / "latest").resolve().name == "step-00000005"
    assert sorted(p.name for p in folder.iterdir()) == ["latest", "step-00000005"]
    assert toy().returncode == 0
    assert metrics() == metrics("whole")


def test_interrupt_saves_and_stops(toy: Toy, metrics: Metrics, tmp_path: Path) -> None:
    assert toy("whole").returncode == 0
    stopped = toy(env={"TOY_INTERRUPT": "7"})
    assert stopped.returncode == 130
    assert "stops after this step and saves" in stopped.stderr
    assert (tmp_path / "run" / "exit_code").read_text() == "130\n"
    assert (tmp_path / "run" / "checkpoints" / "latest").resolve().name == "step-00000008"
    assert not (tmp_path / "run" / "export").exists()
    assert toy().returncode == 0
    assert metrics() == metrics("whole")


def test_state_names_what_it_is(toy: Toy, tmp_path: Path) -> None:
    toy(TRAIN__MAX_STEPS=5)
    state = json.loads((tmp_path / "run" / "checkpoints" / "latest" / "state.json").read_text())
    assert (state["step"], state["world"], state["kind"]) == (5, 1, "NO")
    assert state["config"]["OPTIMIZER"]["LR"] == 0.01
