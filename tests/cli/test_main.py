"""The command line: commands, options of all of them, exit codes and what is said on stderr."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import collavo
from collavo.cli import main as cli
from collavo.errors import DataError
from collavo.registry import unknown_name


@pytest.fixture()
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A command `probe` that keeps its arguments and does what a test asks for."""
    kept = SimpleNamespace(args=None, error=None, code=0)

    def add_arguments(parser: Any) -> None:
        parser.add_argument("--limit", type=int, default=0)

    def run(args: Any) -> int:
        kept.args = args
        if kept.error:
            raise kept.error
        return kept.code

    module = SimpleNamespace(add_arguments=add_arguments, run=run)
    monkeypatch.setitem(cli.COMMANDS, "probe", ("collavo.cli.probe", "Probes."))
    monkeypatch.setitem(sys.modules, "collavo.cli.probe", module)
    return kept


def test_options_of_every_command(command: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text("")
    words = ["probe", "--conf_files", "collavo_eval.yaml", "collavo_step2.yaml", "--limit", "2"]
    words += ["--user_dir", str(tmp_path), "--config_overrides", '{"LLM.BITS":', "8}"]
    words += ["--overrides", "WANDB", "False", "SAVE_DIR=a=b", "GENERATION.LENGTH_PENALTY", "-1e-1"]
    assert cli.main(words) == 0
    args = command.args
    assert args.conf_files == ["collavo_eval.yaml", "collavo_step2.yaml"]
    assert args.config_overrides == ['{"LLM.BITS":', "8}"]
    assert args.user_dir == str(tmp_path)
    assert args.overrides == words[-5:]
    assert args.limit == 2


def test_options_may_follow_overrides(command: SimpleNamespace) -> None:
    words = ["probe", "--overrides", "WANDB", "no", "LLM.BITS=4", "--limit", "3"]
    assert cli.main([*words, "--overrides", "SAVE_DIR", "--x"]) == 0
    assert command.args.overrides == ["WANDB", "no", "LLM.BITS=4", "SAVE_DIR", "--x"]
    assert command.args.limit == 3


@pytest.mark.parametrize(
    ("words", "rest", "overrides"),
    [
        (["--a", "1"], ["--a", "1"], []),
        (["--overrides"], [], []),
        (["--overrides", "A"], [], ["A"]),
        (["--overrides", "A", "--b"], [], ["A", "--b"]),
        (["--overrides", "A=1", "--b"], ["--b"], ["A=1"]),
        (["x", "--overrides", "A", "-1"], ["x"], ["A", "-1"]),
    ],
)
def test_split_overrides(words: list[str], rest: list[str], overrides: list[str]) -> None:
    assert cli.split_overrides(words) == (rest, overrides)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evl"], r"error: unknown command 'evl'\. Did you mean: eval\? Commands: eval, train"),
        (["xyz"], r"error: unknown command 'xyz'\. Commands: eval"),
        (["probe", "--overrides", "LLM.BIT", "4"], "unknown key 'LLM.BIT'.*LLM.BITS"),
        (["probe", "--overrides", "LLM.BITS", "five"], "LLM.BITS cannot be 'five'"),
        (["probe", "--overrides", "LLM.BITS"], "ends with the key 'LLM.BITS' without a value"),
        (["probe", "--config_overrides", "{"], "not JSON"),
        (["probe", "--conf_files", "collavo_evil.yaml"], "Did you mean: collavo_eval.yaml"),
        (["probe", "--user_dir", "not/there"], "--user_dir 'not/there' is neither"),
        (["probe", "--overrides", "USER_DIR", "not/there"], "--user_dir 'not/there' is neither"),
        (["probe", "--lim", "4"], "unrecognized arguments: --lim 4"),
        (["probe", "--limit", "four"], "invalid int value: 'four'"),
    ],
)
def test_wrong_words_exit_with_2(
    command: SimpleNamespace, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(message, captured.err), captured.err
    assert "Traceback" not in captured.err
    assert command.args is None


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("row 3 has no image"), 2, "error: row 3 has no image\n"),
        (unknown_name("pipeline", "mne", ["mme"]), 2, "error: Unknown pipeline 'mne'. Did you"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_become_exit_codes(
    command: SimpleNamespace,
    error: BaseException,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.error = error
    assert cli.main(["probe"]) == code
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    "words", [["evl"], ["probe", "--limit", "x"], ["probe", "--overrides", "A"]]
)
def test_failure_leaves_its_code_for_the_launcher(
    command: SimpleNamespace, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAVO_EXIT_CODE_FILE", str(tmp_path / "code"))
    monkeypatch.setenv("RANK", "1")
    assert cli.main(words) == 2
    assert (tmp_path / "code").read_text() == "2\n"


def test_code_of_the_command_is_returned(command: SimpleNamespace) -> None:
    command.code = 3
    assert cli.main(["probe"]) == 3


def test_bug_is_not_hidden(command: SimpleNamespace) -> None:
    command.error = RuntimeError("ours")
    with pytest.raises(RuntimeError, match="ours"):
        cli.main(["probe"])


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"collavo {collavo.__version__}\n"
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name, (_, about) in cli.COMMANDS.items():
        assert name in overview and about in overview
    assert cli.main([]) == 2
    assert capsys.readouterr().err == overview
    assert cli.main(["list", "--help"]) == 0
    assert "--conf_files" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_is_there(name: str) -> None:
    module = importlib.import_module(cli.COMMANDS[name][0])
    assert callable(module.add_arguments) and callable(module.run)


def test_entry_script_returns_the_code(repository: Path) -> None:
    out = subprocess.run(
        [sys.executable, "lbk_entry.py", "lst"], cwd=repository, capture_output=True, text=True
    )
    assert out.returncode == 2
    assert "Did you mean: list" in out.stderr
