"""Panoptic examples to train segmenters on: drawn scenes, COCO folders, batches."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from collavo.datasets.miniature import scenes as drawing
from collavo.datasets.miniature.panoptic import write_panoptic
from collavo.datasets.segmentation import scenes
from collavo.datasets.segmentation.batches import PanopticPlan, mask_targets
from collavo.datasets.segmentation.example import PanopticExample
from collavo.datasets.segmentation.folder import PanopticFolder
from collavo.errors import ConfigError, DataError, MissingFileError


class _Numbers:
    """Images that are filled with their own number; two segments side by side."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> PanopticExample:
        panoptic = np.ones((4, 4), np.uint8)
        panoptic[:, 3] = 2
        image = np.full((3, 8, 8), self.first + row, np.uint8)
        image[:, :, 0] = 255
        return PanopticExample(image, panoptic, (5, 90))

    def name(self, row: int) -> str:
        return f"image {self.first + row}"

    def fingerprint(self) -> str:
        return ""


def _plan(batch: int = 4, seed: int = 3) -> PanopticPlan:
    return PanopticPlan([_Numbers(6), _Numbers(4, 6)], batch, 8, seed)


def test_every_image_comes_once_an_epoch() -> None:
    plan = _plan(batch=5)
    assert plan.steps_per_epoch == 2
    epochs = [[row for step in (2 * e, 2 * e + 1) for row in plan.rows(step)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_a_step_depends_on_its_number_alone() -> None:
    plan, other = _plan(), _plan()
    for step in (0, 5):
        plan.batch(step, slice(None))
    one, two = plan.batch(7, slice(None)), other.batch(7, slice(None))
    for name in ("images", "masks", "labels", "order"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name
    assert one.names == two.names
    assert _plan(seed=4).batch(7, slice(None)).names != one.names


def test_shares_make_the_step() -> None:
    whole = _plan().batch(2, slice(None))
    halves = [_plan().batch(2, slice(rank, None, 2)) for rank in range(2)]
    for rank, half in enumerate(halves):
        for name in ("images", "masks", "labels", "order"):
            assert torch.equal(getattr(half, name), getattr(whole, name)[rank::2]), name
        assert half.names == whole.names[rank::2]


def test_masks_are_mirrored_with_their_images() -> None:
    seen = set()
    for step in range(5):
        batch = _plan().batch(step, slice(None))
        for image, mask in zip(batch.images, batch.masks, strict=True):
            mirrored = bool((image[:, :, -1] == 255).all())
            seen.add(mirrored)
            # the second segment holds half of the last column of cells
            assert mask[1, 0].tolist() == ([0.5, 0.0] if mirrored else [0.0, 0.5])
    assert seen == {True, False}


def test_masks_are_shares_and_hidden_segments_have_no_label() -> None:
    panoptic = np.array([[1, 1, 0, 0], [1, 0, 0, 3], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    examples = [
        PanopticExample(np.zeros((3, 8, 8), np.uint8), panoptic, (7, 8, 9)),
        PanopticExample(np.zeros((3, 8, 8), np.uint8), np.ones((4, 4), np.uint8), (4,)),
    ]
    masks, labels = mask_targets(examples)
    assert masks[0].tolist() == [[[0.75, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0.25], [0, 0]]]
    assert labels.tolist() == [[7, -1, 9], [4, -1, -1]]


def test_scenes_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    monkeypatch.setattr(scenes.os, "sched_getaffinity", lambda _: {0})
    source = scenes.SceneSource(3, 64, chunk=2)
    files = sorted(tmp_path.rglob("*.safetensors"))
    before = [file.stat().st_mtime_ns for file in files]
    again = scenes.SceneSource(3, 64, chunk=2)
    assert [file.stat().st_mtime_ns for file in files] == before and len(files) == 2
    truth = drawing.scene(2)
    example, other = source[2], again[2]
    assert example.labels == tuple(s.label_id for s in (*truth.things, *truth.stuff))
    assert example.image.shape == (3, 64, 64) and example.panoptic.shape == (32, 32)
    assert set(np.unique(example.panoptic)) <= set(range(len(example.labels) + 1))
    assert np.array_equal(example.image, other.image)
    assert source.name(2) == "scene 2" and source.fingerprint() == again.fingerprint()
    with pytest.raises(ConfigError, match="scenes=0: it may be 1 to"):
        scenes.SceneSource(0, 64)


def test_no_evaluation_scene_is_trained_on() -> None:
    assert scenes.FIRST_SEED in drawing.TRAINING_SEEDS
    with pytest.raises(ConfigError, match="the training scenes"):
        scenes.SceneSource(len(drawing.TRAINING_SEEDS) + 1, 64)


def test_what_draws_scenes_is_in_the_fingerprint() -> None:
    folder = Path(drawing.__file__).parent
    named = {file for pattern in scenes.DRAWN_BY for file in folder.glob(pattern)}
    for file in named:
        for module in re.findall(
            r"from collavo\.datasets\.miniature(\S*) import (\w+)", file.read_text()
        ):
            path = module[0].strip(".").replace(".", "/") or module[1]
            assert folder / f"{path}.py" in named, f"{file.name} imports {path}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenes in COCO's panoptic format."""
    drawn = [drawing.scene(seed) for seed in (11, 12)]
    (tmp_path / "images").mkdir()
    for one in drawn:
        one.image.save(tmp_path / "images" / f"{one.seed}.png")
    names = [(f"{one.seed}.png", one) for one in drawn]
    write_panoptic(tmp_path / "panoptic.json", tmp_path / "panoptic", names)
    return tmp_path


def test_a_coco_folder_gives_what_was_written(folder: Path) -> None:
    source = PanopticFolder(folder / "panoptic.json", folder / "images", 64)
    truth = drawing.scene(12)
    example = source[1]
    assert len(source) == 2 and source.name(1) == "12.png"
    assert example.labels == tuple(s.label_id for s in (*truth.things, *truth.stuff))
    picture = Image.fromarray(truth.panoptic.astype(np.uint8))
    expected = np.array(picture.resize((32, 32), Image.Resampling.NEAREST))
    assert np.array_equal(example.panoptic, expected)
    assert len(PanopticFolder(folder / "panoptic.json", folder / "images", 64, limit=1)) == 1


def test_groups_are_no_segments(folder: Path) -> None:
    path = folder / "panoptic.json"
    content = json.loads(path.read_text())
    group = content["annotations"][0]["segments_info"][0]
    group["iscrowd"] = 1
    path.write_text(json.dumps(content))
    before = drawing.scene(11)
    example = PanopticFolder(path, folder / "images", 64)[0]
    assert len(example.labels) == len(before.things) + len(before.stuff) - 1
    assert example.panoptic.max() <= len(example.labels)


def test_bad_folders_say_what_is_wrong(folder: Path) -> None:
    path = folder / "panoptic.json"
    with pytest.raises(MissingFileError, match="there is no folder .*nowhere; the PNGs lie"):
        PanopticFolder(path, folder / "nowhere", 64)
    (folder / "images" / "11.png").unlink()
    with pytest.raises(MissingFileError, match=r"11\.png of image 11\.png is not there"):
        PanopticFolder(path, folder / "images", 64)[0]
    (folder / "images" / "12.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"12\.png is no JPEG, PNG, .* file"):
        PanopticFolder(path, folder / "images", 64)[1]
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["category_id"] = 999
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has category 999, which 'categories' does not list"):
        PanopticFolder(path, folder / "images", 64)
    path.write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(DataError, match="no images"):
        PanopticFolder(path, folder / "images", 64)
