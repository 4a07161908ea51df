"""Which process says what went wrong."""

from __future__ import annotations

import pytest

from collavo.cli import exit_code
from collavo.errors import DataError


@pytest.mark.parametrize(
    ("rank", "at_once", "waits", "told"),
    [
        ("0", False, [], "error: row 7 is broken\n"),
        ("1", False, [exit_code.PATIENCE], "error: process 1: row 7 is broken\n"),
        ("1", True, [], "error: process 1: row 7 is broken\n"),
    ],
)
def test_every_error_is_told_and_the_first_process_goes_first(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rank: str,
    at_once: bool,
    waits: list[float],
    told: str,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(exit_code.time, "sleep", waited.append)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", rank)
    exit_code.tell_error(DataError("row 7 is broken"), at_once=at_once)
    assert capsys.readouterr().err == told and waited == waits
