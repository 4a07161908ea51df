"""Commands say what they are at where they would be silent."""

from __future__ import annotations

import logging
import threading

import pytest

from collavo import pulse
from collavo.pulse import Doing, during, sign
from collavo.terminal import Formatter, console, say

WHOLE = Doing("eval is at work", since=0.0)


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was printed since the time 0."""
    monkeypatch.setattr(pulse, "_last", 0.0)


def test_what_is_under_way_is_said_after_a_while() -> None:
    assert sign(WHOLE, 2.0) == ""
    assert sign(WHOLE, 2.6) == "... eval is at work, 3 s so far\n"
    with during("loading the model") as doing:
        doing.since = 1.0
        assert sign(WHOLE, 4.0) == "... loading the model, 3 s so far\n"
        with during(""):
            assert sign(WHOLE, 400.0) == "", "it tells by itself"
        doing.what = ""
        assert sign(WHOLE, 400.0) == ""
    assert sign(WHOLE, 9.0).startswith("... eval is at work")


@pytest.mark.parametrize(
    "print_something",
    [
        lambda: say("a line"),
        lambda: console().print("a table"),
        lambda: Formatter("%(message)s").format(logging.makeLogRecord({"msg": "a log line"})),
    ],
)
def test_what_prints_is_a_sign_of_life(print_something, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    assert sign(WHOLE, 101.0)
    print_something()
    assert sign(WHOLE, 101.0) == ""
    assert sign(WHOLE, 102.5)


def test_a_command_that_hangs_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = threading.Event()
    monkeypatch.setenv("COLLAVO_PULSE", "on")
    monkeypatch.setattr(pulse, "QUIET", 0.01)
    touch = pulse.touch
    monkeypatch.setattr(pulse, "touch", lambda: (touch(), told.set()))
    with pulse.pulse("check is at work"), during("counting"):
        told.clear()
        assert told.wait(60), "no sign of life"
    assert "... counting, 0 s so far" in capsys.readouterr().err
