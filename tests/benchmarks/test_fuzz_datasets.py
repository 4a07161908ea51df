"""A few hundred broken files: each is read or refused in words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz import rounds
from benchmarks.fuzz.targets import make_targets
from collavo.datasets.registration import catalog, roots
from collavo.errors import DataError


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    roots.use_root("")


def test_broken_files_are_read_or_refused(tmp_path: Path) -> None:
    targets = make_targets(tmp_path / "data")
    names = {target.name for target in targets}
    assert {"pope_test", "mme"} <= names and len(names) >= 8
    assert {target.answers.suffix for target in targets if target.answers} == {
        *(".json", ".log", ".xlsx")
    }
    tally = rounds.run(targets, 300, 7, tmp_path)
    assert tally.faults == []
    assert tally.read + tally.refused == 300
    assert tally.read > 40 and tally.refused > 100


def test_every_target_is_read_when_whole(tmp_path: Path) -> None:
    dice = random.Random(1)
    for target in make_targets(tmp_path / "data", ["pope_test", "tsv", "jsonl"]):
        roots.use_root(target.root)
        rounds.read_everything(target.name, target.answers, tmp_path, dice)


def test_faults_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: another exception, and a round without end, are faults; a file heals."""
    (target,) = make_targets(tmp_path / "data", ["json"])
    whole = target.files[0].read_bytes()

    def fails(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(catalog, "samples_of", fails)
    tally = rounds.run([target], 2, 0, tmp_path, keep=tmp_path / "kept")
    seen = [fault for fault in tally.faults if "KeyError" in fault]
    assert len(seen) == len(tally.faults) == 2 - tally.refused
    assert len(list((tmp_path / "kept").iterdir())) == len(seen)
    assert target.files[0].read_bytes() == whole

    def hangs(name: str) -> None:
        while True:
            pass

    monkeypatch.setattr(catalog, "samples_of", hangs)
    monkeypatch.setattr(rounds, "LIMIT", 1)
    monkeypatch.setattr(rounds, "broken", lambda data, dice: data)
    tally = rounds.run([target], 1, 0, tmp_path)
    assert len(tally.faults) == 1 and "EndlessError" in tally.faults[0]

    def silent(name: str) -> None:
        raise DataError("")

    monkeypatch.setattr(catalog, "samples_of", silent)
    tally = rounds.run([target], 2, 0, tmp_path)
    assert "ended with 2" in tally.faults[0], "from the command line"
    assert "an error without words" in tally.faults[1]
