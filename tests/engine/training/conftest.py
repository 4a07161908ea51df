"""Runs the toy training in processes of its own, as users run theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOY = Path(__file__).parent / "plugin" / "toy_task.py"
MODULES = "[{'module': 'body'}, {'module': 'head', 'lr': 0.02}]"


@pytest.fixture
def toy(tmp_path: Path, repository: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
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
        command = [sys.executable, str(TOY), "--overrides", *words]
        if processes > 1:
            config = repository / "configs" / "accel" / accel
            launch = ["-m", "accelerate.commands.launch", "--config_file", str(config)]
            launch += [f"--num_processes={processes}", "--main_process_port=0"]
            launch += ["--mixed_precision=no"]
            command = [sys.executable, *launch, *command[1:]]
        return subprocess.run(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            cwd=repository,
            capture_output=True,
            text=True,
            timeout=600,
        )

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
    root = Path(__file__).resolve().parents[3]

    def run(
        *words: str, accel: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        launch: list[str] = []
        if accel:
            launch = ["-m", "accelerate.commands.launch", "--config_file"]
            launch += [str(root / "configs" / "accel" / accel), "--num_processes=2"]
            launch += ["--mixed_precision=no", "--main_process_port=0"]
        return subprocess.run(
            [sys.executable, *launch, "lbk_entry.py", *words],
            cwd=root,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run
