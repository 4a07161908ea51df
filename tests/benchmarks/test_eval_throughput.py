"""The throughput benchmark runs at its smallest size, both ways, with equal answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import eval_throughput, same_answers


def test_both_ways_are_measured_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    arguments = ["--questions", "2", "--loads", "mme", "--ranks", "4", "--small"]
    arguments += ["--work", str(tmp_path / "work"), "--state", str(state)]
    arguments += ["--page", str(tmp_path / "page.md")]
    assert eval_throughput.main(arguments) == 0
    (block,) = json.loads(state.read_text())["blocks"].values()
    assert (block["questions"], block["images"]) == (2, 1)
    assert all(found["decided"] == "ours" for found in block["different"])
    page = (tmp_path / "page.md").read_text()
    assert "| mme (2 an image) | 2 / 1 |" in page and page.strip() in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["bf16", "profile", "processes", "memory"])
def test_the_other_measurements(tmp_path: Path, mode: str) -> None:
    state = tmp_path / "state.json"
    arguments = [mode, "--questions", "2", "--many", "20", "--loads", "mme", "--ranks", "4"]
    arguments += ["--small", "--work", str(tmp_path / "work"), "--state", str(state)]
    assert eval_throughput.main([*arguments, "--page", str(tmp_path / "page.md")]) == 0
    assert json.loads(state.read_text())[mode]


def test_a_checkout_answers_as_it_does_itself(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["same_answers.py", str(repository), "--datasets", "pope_test", "--limit", "2"]
    monkeypatch.setattr("sys.argv", arguments)
    assert same_answers.main() == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"dataset": "pope_test", "lines": 2, "equal": True},
        {"datasets": 1, "different": 0},
    ]
