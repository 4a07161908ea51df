"""A run's own files, broken at random places: the run goes on or says which file is damaged."""

from __future__ import annotations

import random
import shutil

import pytest

from benchmarks.fuzz.breaking import broken


@pytest.mark.parametrize("seed", range(4))
def test_a_broken_run_folder_is_used_or_refused(bench, tmp_path, capsys, seed):
    bench.make_data(images=2, questions=2)
    whole = bench.run()
    kept = tmp_path / "kept"
    shutil.copytree(whole.folder, kept)
    dice = random.Random(seed)
    files = sorted(p for p in kept.rglob("*") if p.is_file() and p.stat().st_size)
    assert {f.suffix for f in files} >= {".json", ".jsonl", ".yaml"}
    ends = {0: 0, 2: 0, 3: 0}
    for number in range(12):
        file = files[(number + seed) % len(files)] if number < 6 else dice.choice(files)
        there = whole.folder / file.relative_to(kept)
        there.write_bytes(broken(file.read_bytes(), dice))
        capsys.readouterr()
        run = bench.run()
        said = capsys.readouterr().err
        assert run.code in ends, (file.name, said)
        ends[run.code] += 1
        assert "Traceback" not in said
        if run.code == 2:
            assert str(whole.folder.name) in said or file.name in said, said
        shutil.rmtree(whole.folder)
        shutil.copytree(kept, whole.folder)
    assert ends[0]
    assert bench.run("--fresh").bytes == whole.bytes
