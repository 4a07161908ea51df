"""Training on panoptic files with classes of their own: whose names and rows a model gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collavo.config import default_cfg
from collavo.engine.training.alignment_task import AlignmentTask
from collavo.engine.training.task import Place
from collavo.engine.training.vlm_task import VLMTask
from collavo.errors import ConfigError, DataError
from collavo.modeling.segmenters.training import SegmenterTask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A photo, half crack and half rust stain, and a question about it."""
    (tmp_path / "panoptic").mkdir()
    ids = np.ones((32, 32, 3), dtype=np.uint8) * np.array([1, 0, 0], dtype=np.uint8)
    ids[16:, :, 0] = 2
    Image.fromarray(ids).save(tmp_path / "panoptic" / "a.png")
    Image.fromarray(ids * 90).save(tmp_path / "a.png")
    segments = [{"id": 1, "category_id": 1}, {"id": 2, "category_id": 2}]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "rust stain"}],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Rust."}]
    rows = [{"id": "r", "image": "a.png", "conversations": turns}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    return tmp_path


def config(data: Path, *more: dict[str, Any], classes: str = "own") -> Any:
    cfg = default_cfg()
    own = {
        "format": "panoptic",
        "path": f"{data}/panoptic.json",
        "images": str(data),
        "crayon_text": True,
        "classes": classes,
    }
    cfg.TRAIN.DATA = [own, *more]
    cfg.TRAIN.BATCH_SIZE = 3
    cfg.TRAIN.INIT = "random"
    return cfg


def rows(data: Path) -> dict[str, Any]:
    return {"format": "llava", "path": f"{data}/rows.json", "images": str(data)}


def test_prompts_name_the_file_s_own_classes(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = VLMTask.from_config(config(data), "cpu")
    batch = task.load(0, Place())
    assert batch.crayon is not None and batch.crayon.semantic is not None
    assert set(batch.crayon.semantic.flatten().tolist()) == {1, 2}
    for sentence in batch.crayon.text:
        assert sentence is not None
        assert "(#1 crack)" in sentence and "(#1 rust stain)" in sentence
        assert "person" not in sentence
    assert "the crayon vocabulary of this training is crack, rust stain" in caplog.text


def test_a_segmenter_of_other_classes_is_refused_beside_them(data: Path) -> None:
    with pytest.raises(ConfigError, match=r"images of rows get the segmenter's classes \(person"):
        VLMTask.from_config(config(data, rows(data)), "cpu")
    cfg = config(data, rows(data))
    cfg.SEGMENTER.NAME = "precomputed"
    cfg.SEGMENTER.PRECOMPUTED.JSON = f"{data}/panoptic.json"
    cfg.SEGMENTER.PRECOMPUTED.CLASSES = "own"
    assert VLMTask.from_config(cfg, "cpu").data.mix.class_names == ("crack", "rust stain")


@pytest.mark.parametrize("task", [AlignmentTask, VLMTask, SegmenterTask])
@pytest.mark.parametrize("classes", ["coco", "own"])
def test_own_classes_are_never_taken_for_coco_s(data: Path, task: Any, classes: str) -> None:
    if (task, classes) == (VLMTask, "own"):
        return  # what it is for
    with pytest.raises((ConfigError, DataError), match="has classes of its own"):
        task.from_config(config(data, classes=classes), "cpu")
