"""Runs the toy training in processes of its own, as users run theirs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.warm import start

TOY = Path(__file__).parent / "plugin" / "toy_task.py"
MODULES = "[{'module': 'body'}, {'module': 'head', 'lr': 0.02}]"


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Returns a function that trains the toy in a folder and returns the finished process."""

    def run(
        folder: str = "run",
        processes: int = 1,
        env: dict[str, str] | None = None,
        accel: str = "multi_cpu.yaml",
        **keys: Any,
    ) -> subprocess.CompletedProcess[str]:
        settings = {
            "TRAIN.DIR": tmp_path / folder,
            "TRAIN.MODULES": MODULES,
            "TRAIN.BATCH_SIZE": 8,
            "TRAIN.MAX_STEPS": 20,
            "TRAIN.SAVE_STEPS": 5,
            "TRAIN.LOG_STEPS": 5,
            "TRAIN.PLORA_DROPOUT": 0.0,
            "OPTIMIZER.LR": 0.01,
            "OPTIMIZER.LAST_LR": 0.001,
            "DEVICE": "cpu",
            **{name.replace("__", "."): value for name, value in keys.items()},
        }
        words = [str(word) for pair in settings.items() for word in pair]
        argv = [TOY, "--overrides", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        if processes > 1:
            return start.run_ranks(argv, accel, processes, environment)
        return start.run(argv, environment)

    return run


@pytest.fixture
def metrics(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Returns a function that reads a run's metrics, without what time decides on."""

    def read(folder: str = "run") -> list[dict[str, Any]]:
        lines = (tmp_path / folder / "metrics.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in lines]

    return read


@pytest.fixture(scope="session")
def lbk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Returns a function that runs a command of the entry in a process of its own, or in two."""

    def run(
        *words: str, accel: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        argv = [start.ROOT / "lbk_entry.py", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        return (
            start.run_ranks(argv, accel, 2, environment) if accel else start.run(argv, environment)
        )

    return run
