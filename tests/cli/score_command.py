"""The command `score`, run in this process on files of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.cli.main import main

SPLITS = ("random", "popular", "adversarial")


def _answers(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _score(
    capsys: pytest.CaptureFixture[str], dataset: str, predictions: Path, *words: Any
) -> dict[str, Any]:
    arguments = ["score", "--dataset", dataset, "--predictions", str(predictions)]
    assert main([*arguments, *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def _refused(
    capsys: pytest.CaptureFixture[str], dataset: str, predictions: Path, *words: Any
) -> str:
    arguments = ["score", "--dataset", dataset, "--predictions", str(predictions)]
    assert main([*arguments, *map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    return captured.err
