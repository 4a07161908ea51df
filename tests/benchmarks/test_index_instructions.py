"""The benchmark of the index, on a small file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import index_instructions


def test_all_ways_read_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert index_instructions.main(["--rows", "300", "--checked", "100"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("300 rows") and "100 random rows are the same in all ways" in out
    assert all(f"| {way} | " in out for way in index_instructions.WAYS)


def test_a_difference_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    index_instructions.write(tmp_path / "f.json", 20)
    honest = index_instructions.measure

    def other(way: str, path: Path, checked: int, cache: Path) -> dict:
        found = honest("json.load", path, checked)
        return {**found, "digest": way} if way == "index, kept" else found

    monkeypatch.setattr(index_instructions, "in_a_process", other)
    assert index_instructions.main(["--file", str(tmp_path / "f.json")]) == 1
    assert "random rows are DIFFERENT" in capsys.readouterr().out
