"""A toy ablation, of which commands that cost nothing leave what real ones would leave."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from collavo.cli.main import main
from collavo.engine.ablation import runner

PLUGIN = Path(__file__).parent / "plugin"

STAGE = {"TRAIN": {"MODULES": [{"module": "llm"}]}}

PLAN: dict[str, Any] = {
    "title": "A toy",
    "about": "Nothing is learnt here.",
    "seeds": 2,
    "reference": "full",
    "train": {"TRAIN.MAX_STEPS": 3},
    "stages": ["first.yaml", {"file": "second.yaml", "set": {"OPTIMIZER": {"LR": 0.5}}}],
    "figures": [
        {"name": "all", "label": "All", "dataset": "toy_set", "figure": "accuracy"},
        {
            "name": "two",
            "dataset": "toy_set",
            "figure": "groups.q0.accuracy + groups.q1.accuracy",
        },
    ],
    "arms": [
        {
            "name": "none",
            "label": "no crayon",
            "set": {"CRAYON.MODE": "none"},
            "paper": {"all": 70},
        },
        {"name": "full", "label": "crayon", "paper": {"all": 80}},
        {"name": "no_text", "weights_of": "full", "eval": {"CRAYON.MODE": "map_only"}},
    ],
}


class Ablation:
    """A plan in a folder, and the means to run it.

    Args:
        folder: An empty folder.
        capsys: Reads what is printed.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.calls_file = folder / "calls.jsonl"
        self.plan: dict[str, Any] = json.loads(json.dumps(PLAN))
        for name in ("first", "second"):
            stage = {"TRAIN": {**STAGE["TRAIN"], "STAGE": name}}
            self.write(f"{name}.yaml", stage)
        self.plan["stages"][0] = str(folder / "first.yaml")
        self.plan["stages"][1]["file"] = str(folder / "second.yaml")

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def arm(self, name: str) -> dict[str, Any]:
        return next(arm for arm in self.plan["arms"] if arm["name"] == name)

    def words(self, *options: str, **keys: object) -> list[str]:
        plan = self.write("toy.yaml", self.plan)
        given = {"SAVE_DIR": self.folder / "results", "EVAL.BOOTSTRAP": 200, **keys}
        overrides = [f"{k.replace('__', '.')}={v}" for k, v in given.items()]
        user_dir = ["--user_dir", str(PLUGIN / "toy_set.py")]
        return ["ablate", "--plan", str(plan), *user_dir, *options, "--overrides", *overrides]

    def run(self, *options: str, **keys: object) -> tuple[int, str]:
        """Runs it in this process; returns the exit code and what was printed."""
        code = main(self.words(*options, **keys))
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def calls(self, command: str = "") -> list[dict[str, Any]]:
        """The commands that were run, in order."""
        if not self.calls_file.is_file():
            return []
        rows = [json.loads(line) for line in self.calls_file.read_text().splitlines()]
        return [row for row in rows if not command or row["command"] == command]

    def result(self) -> dict[str, Any]:
        file = self.folder / "results" / "ablation" / "toy" / "ablation.json"
        return json.loads(file.read_text())

    def forget_calls(self) -> None:
        self.calls_file.unlink(missing_ok=True)


@pytest.fixture
def ablation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ablation:
    """The toy ablation."""
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, str(PLUGIN / "fake_command.py")))
    monkeypatch.setattr(runner, "PATIENCE", 20.0)
    found = Ablation(tmp_path, capsys)
    monkeypatch.setenv("FAKE_CALLS", str(found.calls_file))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return found
