"""Training scenes: LLaVA's form, the same files for any number of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from collavo.datasets.miniature.panoptic import decode
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, scene
from collavo.datasets.miniature.training import build
from collavo.datasets.miniature.training.turns import OPTION_LETTER, SHORT_ANSWER, YES_OR_NO
from collavo.errors import ConfigError, DataError
from collavo.pipeline import base
from collavo.pipeline.mme import MMEPipeline
from collavo.records import Sample
from tests.datasets.training_rows import SCENES, pairs, read


def test_endings_are_those_of_the_pipelines() -> None:
    assert SHORT_ANSWER == base.SHORT_ANSWER
    assert OPTION_LETTER == base.OPTION_LETTER
    sample = Sample("s", (), f"Is it?{YES_OR_NO}", 1)
    assert MMEPipeline().prompt(sample) == f"Is it?{SHORT_ANSWER}"
    assert MMEPipeline("clean").prompt(sample) == f"Is it?{YES_OR_NO}"


def test_rows_have_llavas_form(training_scenes: Path) -> None:
    rows = read(training_scenes)
    assert len({row["id"] for row in rows}) == len(rows) == SCENES * build.CONVERSATIONS
    for row in rows:
        assert (training_scenes / "images" / row["image"]).is_file()
        senders = [turn["from"] for turn in row["conversations"]]
        assert senders == ["human", "gpt"] * (len(senders) // 2)
        texts = [turn["value"] for turn in row["conversations"]]
        assert texts[0].startswith("<image>\n")
        assert sum(text.count("<image>") for text in texts) == 1
        assert all(text.strip() == text and text for text in texts)
        assert len(pairs(row)) >= 6


def test_panoptic_files_and_pictures_are_those_of_the_scenes(training_scenes: Path) -> None:
    document = json.loads((training_scenes / "panoptic_train.json").read_text())
    assert len(document["images"]) == len(document["annotations"]) == SCENES
    drawn = scene(build.FIRST_SEED)
    entry, annotation = document["images"][0], document["annotations"][0]
    assert (entry["id"], entry["width"], entry["height"]) == (drawn.seed, *drawn.image.size)
    with Image.open(training_scenes / "panoptic_train" / annotation["file_name"]) as picture:
        ids = decode(picture)
    for segment in annotation["segments_info"]:
        assert (ids == segment["id"]).sum() == segment["area"]


def test_no_evaluation_scene_can_be_reached() -> None:
    most = build.TRAINING_SEEDS.stop - build.FIRST_SEED
    assert build.FIRST_SEED + most <= EVALUATION_SEEDS.start
    for scenes in (0, -1, most + 1):
        with pytest.raises(ConfigError, match=rf"training scenes 1\.\.{most}; asked for {scenes}"):
            build.training_root(scenes)


def test_any_number_of_processes_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BLOCK", 2)
    for name, processes in (("one", 1), ("two", 2)):
        build.write(tmp_path / name, 4, processes)
    files = [p.relative_to(tmp_path / "one") for p in sorted((tmp_path / "one").rglob("*.*"))]
    assert len(files) == 4 + 4 + 9
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_draw", fail_at_second())
    with pytest.raises(DataError, match="training scenes cannot be written to .*No space left"):
        build.training_root(3)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    folder = build.training_root(2)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert build.training_root(2) == folder
    assert len(read(folder)) == 2 * build.CONVERSATIONS


def fail_at_second() -> Any:
    draw, called = build._draw, []

    def drawn(root: Path, seed: int) -> build.Drawn:
        called.append(seed)
        if len(called) == 2:
            raise OSError(28, "No space left on device")
        return draw(root, seed)

    return drawn


def test_no_drawing_process_outlives_a_killed_run(tmp_path: Path) -> None:
    code = "from collavo.datasets.miniature.training.build import training_root as t; t(100_000, 2)"
    env = {**os.environ, "COLLAVO_CACHE": str(tmp_path)}
    run = subprocess.Popen([sys.executable, "-c", code], env=env)
    try:
        until = time.monotonic() + 300
        while not list(tmp_path.glob(".miniature-*/images/*.jpg")):
            assert run.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        drawing = psutil.Process(run.pid).children(recursive=True)
    finally:
        run.kill()
        run.wait()
    assert len(drawing) >= 2
    assert psutil.wait_procs(drawing, timeout=120)[1] == []
