"""`parity` dispatches to the comparisons and prints one JSON object on its last line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from collavo.cli.main import main


def test_tokenizer_and_crayon_cases(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["parity", "--tokenizer-case", str(golden / "tokenizer_a")]
    assert main([*words, "--crayon-case", str(golden / "crayon_a")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {
        "ids_equal": True,
        "batch_equal": True,
        "segment_ids_equal": True,
        "semantic_equal": True,
        "number_equal": True,
        "text_equal": True,
        "prompt_equal": True,
    }


def test_difference_is_seen(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "case"
    shutil.copytree(golden / "tokenizer_a", folder)
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    cases["rows"][0]["input_ids"][-1] += 1
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    assert main(["parity", "--tokenizer-case", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ids_equal"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "parity needs --checkpoint DIR --case FILE, --crayon-case DIR or"),
        (["--checkpoint", "x"], "parity needs --checkpoint and --case together"),
        (["--case", "x"], "parity needs --checkpoint and --case together"),
        (["--tokenizer-case", "no/such"], "--tokenizer-case no/such is not there"),
        (["--checkpoint", ".", "--case", "no/such"], "--case no/such is not there"),
        (["--checkpoint", "no/such", "--case", "."], "--checkpoint no/such is not there"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", *words]) == 2
    assert message in capsys.readouterr().err
