"""What training asks of the machine is said in a line where it is not there."""

from __future__ import annotations

import importlib.util

import pytest

from collavo.cli import launch
from collavo.config import get_cfg
from collavo.engine.training.setup import _accelerator
from collavo.errors import EXIT_USAGE, ConfigError


def test_deepspeed_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "deepspeed" else find(name)
    )
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match=r"pip install 'collavo\[deepspeed\]'"):
        _accelerator(get_cfg(), True, "")


def test_the_launcher_says_it_in_a_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import accelerate.commands.launch

    def fails() -> None:
        raise ImportError("DeepSpeed is not installed => run `pip3 install deepspeed`")

    monkeypatch.setattr(accelerate.commands.launch, "main", fails)
    assert launch.main() == EXIT_USAGE
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "collavo[deepspeed]" in said
