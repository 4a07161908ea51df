"""One round of the harness that kills runs; a hundred are played by hand."""

from __future__ import annotations

import pytest

from benchmarks import kill_resume


def test_a_killed_run_resumes_to_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert kill_resume.main(["--rounds", "1", "--seed", "13"]) == 0
    out = capsys.readouterr().out
    assert "1/1 rounds resumed to the same bytes" in out
    assert "| SIGKILL to all | 1 | 0 |" in out
    assert "0 answers that were on disk were computed again" in out


def test_a_difference_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    setup = kill_resume.Setup(tmp_path, real=False)
    monkeypatch.setattr(kill_resume, "break_off", lambda *a: "")
    monkeypatch.setattr(kill_resume, "finish", lambda *a: (0, ""))
    monkeypatch.setattr(kill_resume, "outcome", lambda run: (b"other", []))
    assert "results differ" in kill_resume.play(setup, 1, (b"whole", []), 1.0, 0)
    monkeypatch.setattr(kill_resume, "finish", lambda *a: (3, "failed"))
    assert "exit code 3: failed" in kill_resume.play(setup, 1, (b"whole", []), 1.0, 0)
