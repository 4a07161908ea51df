"""DeepSpeed ZeRO-2 with two processes on the CPU: the same curve, resuming, what is refused."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
Toy = Callable[..., Any]
Metrics = Callable[..., list[dict[str, Any]]]
ZERO2 = {"processes": 2, "accel": "deepspeed_zero2.yaml"}
CPU = {"DS_ACCELERATOR": "cpu"}


def test_zero2_gives_the_curve_of_one_process_and_resumes(toy: Toy, metrics: Metrics) -> None:
    assert toy("one").returncode == 0
    done = toy("whole", **ZERO2, env=CPU)
    assert done.returncode == 0, done.stderr
    for row, other in zip(metrics("one"), metrics("whole"), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], abs=1e-5)
    assert toy("broken", **ZERO2, env={**CPU, "TOY_KILL": "12"}).returncode != 0
    resumed = toy("broken", **ZERO2, env=CPU)
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after step 10" in resumed.stderr
    for row, other in zip(metrics("whole"), metrics("broken"), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], abs=1e-6)
    refused = toy("broken", TRAIN__MAX_STEPS=20)
    assert refused.returncode == 2
    assert "saved by 2 processes under DEEPSPEED" in refused.stderr


def test_deepspeed_without_gpu_says_what_it_needs(toy: Toy) -> None:
    refused = toy(**ZERO2)
    assert refused.returncode != 0
    assert "set the environment variable DS_ACCELERATOR=cpu" in refused.stderr
