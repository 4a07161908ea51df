"""The command `crayon`: builds maps for a dataset, draws them, checks them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from collavo.cli.main import main
from collavo.datasets.miniature.build import miniature_root
from collavo.errors import EXIT_FAILED_SAMPLES, EXIT_OK, EXIT_USAGE
from collavo.modeling.crayon.palette import class_color


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    for name in ("DATASET2", "DATASET", "VLDATASET", "DETECTRON2_DATASETS"):
        monkeypatch.delenv(name, raising=False)


def truth() -> list[str]:
    """Overrides that take the miniature's own panoptic maps."""
    path = miniature_root() / "panoptic" / "panoptic_val.json"
    return ["SEGMENTER.NAME", "precomputed", "SEGMENTER.PRECOMPUTED.JSON", str(path)]


def test_build_twice_and_check(tmp_path, capsys):
    target = tmp_path / "maps.crayon"
    assert main(["crayon", "build", "pope_test", "--to", str(target), "--limit", "3"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "pope_test: 3 images, 3 segmented, 0 known before, 0 failed" in out
    assert f"--overrides CRAYON.CACHE {target}" in out
    assert main(["crayon", "build", "--to", str(target), "--limit", "4", "pope_test"]) == EXIT_OK
    assert "4 images, 1 segmented, 3 known before" in capsys.readouterr().out
    assert main(["crayon", "check", str(target)]) == EXIT_OK
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (list(found["maps"].values()), found["damaged"]) == ([4], 0)
    target.write_bytes(target.read_bytes()[:-9])
    assert main(["crayon", "check", str(target)]) == EXIT_FAILED_SAMPLES


def test_another_threshold_is_built_anew(tmp_path, capsys):
    where = ["--limit", "1", "--overrides", "CRAYON.CACHE", str(tmp_path)]
    main(["crayon", "build", "pope_test", *where])
    main(["crayon", "build", "pope_test", *where, "SEGMENTER.MASK_THRESHOLD=0.9"])
    out = capsys.readouterr().out
    assert out.count("1 images, 1 segmented, 0 known before") == 2


def test_draw(tmp_path, capsys):
    image = sorted((miniature_root() / "coco2014" / "val2014").glob("*.jpg"))[0]
    command = ["crayon", "draw", str(image), "--to", str(tmp_path), "--overrides", *truth()]
    assert main(command) == EXIT_OK
    out = capsys.readouterr().out
    picture = tmp_path / f"{image.stem}_crayon.png"
    assert f"{picture}: The image includes (#1 " in out
    pixels = np.asarray(Image.open(picture)).reshape(-1, 3)
    colors = {tuple(c) for c in np.unique(pixels, axis=0).tolist()}
    assert len(colors & {class_color(label) for label in range(133)}) >= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "pope_tset"], "Unknown dataset 'pope_tset'.*pope_test"),
        (["build", "pope_test", "--limit", "-1"], "--limit -1 is negative"),
        (["build", "pope_test", "--overrides", "SEGMENTER.WEIGHTS", "/no"], "SEGMENTER.WEIGHTS"),
        (["draw", "absent.jpg"], "absent.jpg"),
        (["check", "absent.crayon"], "absent.crayon cannot be read"),
    ],
)
def test_mistakes(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["crayon", *words]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(message, error)


def test_maps_from_disk_need_no_building(capsys):
    assert main(["crayon", "build", "pope_test", "--overrides", *truth()]) == EXIT_USAGE
    assert "nothing to build" in capsys.readouterr().err
