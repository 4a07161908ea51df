"""Patches learn words: what they are told, what is trained, what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from collavo.config import default_cfg
from collavo.datasets.miniature.panoptic import write_panoptic
from collavo.datasets.miniature.scenes import Scene, scene
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.engine.training.alignment_task import (
    COLORS,
    AlignmentTask,
    WordAlignment,
    places,
    word_vectors,
)
from collavo.engine.training.task import Place
from collavo.errors import ConfigError, DataError
from collavo.registry import ARCHITECTURES


@pytest.fixture
def drawn() -> list[Scene]:
    return [scene(seed) for seed in (3, 4)]


@pytest.fixture
def data(tmp_path: Path, drawn: list[Scene]) -> Path:
    """Two scenes with their panoptic annotation; things have their colours."""
    (tmp_path / "images").mkdir()
    named = [(f"{n}.jpg", one) for n, one in enumerate(drawn)]
    for name, one in named:
        one.image.save(tmp_path / "images" / name)
    file = tmp_path / "panoptic.json"
    write_panoptic(file, tmp_path / "panoptic", named)
    recolor(file, [[thing.color for thing in one.things] for one in drawn])
    return tmp_path


def recolor(file: Path, colors: list[list[str]]) -> None:
    content = json.loads(file.read_text())
    for annotation, words in zip(content["annotations"], colors, strict=True):
        for info, word in zip(annotation["segments_info"], words, strict=False):
            info["color"] = word
    file.write_text(json.dumps(content))


def config(data: Path, **source: str) -> Any:
    cfg = default_cfg()
    cfg.TRAIN.DATA = [
        {
            "format": "panoptic",
            "path": f"{data}/panoptic.json",
            "images": f"{data}/images",
            **source,
        }
    ]
    cfg.TRAIN.BATCH_SIZE = 6  # the three instructions of both images
    cfg.CRAYON.MODE = "none"
    cfg.TRAIN.INIT = "random"
    return cfg


def test_patches_are_told_class_and_colour(data: Path, drawn: list[Scene]) -> None:
    task = AlignmentTask.from_config(config(data), "cpu")
    batch = task.load(0, Place())
    assert batch.pixels.shape == (6, 3, 224, 224) and batch.classes.shape == (6, 256)
    assert task.tokens(batch) == 6 * 256 and len(set(task.sample_ids(batch))) == 6
    for name, classes, colors in zip(batch.names, batch.classes, batch.colors, strict=True):
        one = drawn[int(name.split(":")[1].split("/")[0])]
        told = {(int(c), COLORS[k]) for c, k in zip(classes, colors, strict=True) if k >= 0}
        assert told and told <= {(thing.label_id, thing.color) for thing in one.things}
        stuff = {int(c) for c, k in zip(classes, colors, strict=True) if k < 0 <= c}
        assert stuff <= {region.label_id for region in one.stuff}
    counts = task.counts(batch).tolist()
    assert counts[1] < counts[0] <= counts[2] == 6 * 256


def test_a_patch_lies_between_the_ends_of_both_axes() -> None:
    found = places((2, 4))
    assert found.shape == (8, 2, 2) and torch.allclose(found.sum(-1), torch.ones(8, 2))
    assert found[0].tolist() == [[0.875, 0.125], [0.75, 0.25]]  # left, right; top, bottom
    assert found[7].tolist() == [[0.125, 0.875], [0.25, 0.75]]


def test_the_loss_is_lowest_where_patches_are_their_words(data: Path) -> None:
    task = AlignmentTask.from_config(config(data), "cpu")
    batch, model = task.load(0, Place()), task.model
    assert isinstance(model, WordAlignment)
    before = model(batch)
    words = word_vectors(task.vlm, CLEAN_NAMES)

    class Told(torch.nn.Module):
        def forward(self, _: Any) -> torch.Tensor:
            return words[batch.classes.clamp(min=0)]

    model.projector = Told()
    after = model(batch)
    assert int(after["right"]) == int((batch.classes >= 0).sum()) > int(before["right"])
    assert float(after["class"]) < 0.2 * float(before["class"])


def test_training_moves_vision_encoder_and_projector_alone(data: Path, tmp_path: Path) -> None:
    task = AlignmentTask.from_config(config(data), "cpu")
    names = {name.split(".")[0] for name, _ in task.model.named_parameters()}
    assert names == {"vision_encoder", "projector"}
    task.model.requires_grad_(True)
    start = {n: p.detach().clone() for n, p in task.vlm.named_parameters()}
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=2e-3)
    batch, losses = task.load(0, Place()), []
    for _ in range(12):
        parts = task.loss(task.model, batch, task.counts(batch))
        optimizer.zero_grad()
        parts.total.backward()
        optimizer.step()
        losses.append(float(parts.total.detach()))
        scalars = parts.scalars
    assert losses[-1] < 0.7 * losses[0]
    assert losses[-1] == pytest.approx(
        sum(float(scalars[n].detach()) for n in ("class", "color", "place"))
    )
    moved = {n.split(".")[0] for n, p in task.vlm.named_parameters() if not p.equal(start[n])}
    assert moved == {"vision_encoder", "projector"}
    task.export(tmp_path / "export")
    with torch.no_grad():
        visual = task.vlm.projector(task.vlm.vision_encoder(batch.pixels).levels)
    words = task.vlm.llm.get_input_embeddings().weight.norm(dim=-1)
    assert float(visual.norm(dim=-1).mean()) == pytest.approx(float(words.mean()), rel=1e-3)
    cfg = default_cfg()
    cfg.MODEL.WEIGHTS = str(tmp_path / "export")
    again: Any = ARCHITECTURES.get("collavo")
    loaded = dict(again.from_config(cfg, "cpu").named_parameters())
    for name, value in task.vlm.named_parameters():
        assert torch.allclose(loaded[name].float(), value.float(), atol=2e-3), name


def test_bad_data_is_named(data: Path) -> None:
    said = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]
    rows = [{"id": "a", "image": "0.jpg", "conversations": said}]
    (data / "rows.json").write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match=r"rows.* has no panoptic maps.*panoptic:FILE.json"):
        AlignmentTask.from_config(config(data, format="llava", path=f"{data}/rows.json"), "cpu")
    recolor(data / "panoptic.json", [["mauve"], ["red"]])
    task = AlignmentTask.from_config(config(data), "cpu")
    with pytest.raises(DataError, match="'mauve'; allowed: black, white"):
        task.load(0, Place())
