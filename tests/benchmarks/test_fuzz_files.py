"""Files that the toolkit keeps and loads, broken at random: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzz import files


def test_broken_files_are_read_or_refused(tmp_path: Path) -> None:
    kept = files.make_files(tmp_path)
    for one in kept:
        one.read()  # whole, each is read
    tally = files.run(kept, 70, 3)
    assert tally.faults == []
    assert tally.read + tally.refused == 70
    assert tally.read > 5 and tally.refused > 20


def test_faults_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"whole")

    def fails() -> None:
        raise KeyError("x")

    tally = files.run([files.Kept("a", file, fails)], 2, 0)
    assert len(tally.faults) == 2 and "KeyError" in tally.faults[0]
    assert file.read_bytes() == b"whole"
