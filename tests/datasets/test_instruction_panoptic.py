"""Crayon instructions: the paper's three templates, with the Crayon Prompt's numbers and boxes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collavo.datasets.instruction.mix import Ref
from collavo.datasets.instruction.opening import open_mix
from collavo.datasets.instruction.panoptic import PanopticSource
from collavo.datasets.instruction.source import parse_source
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.modeling.segmenters.precomputed import PrecomputedSegmenter

GRID = (4, 4)
HORSE, SKY = 19, 187


def ids_of(rows: list[str]) -> np.ndarray:
    """An id map of 8 x 8 pixels a character: digits are ids, `.` is none."""
    small = np.array([[0 if c == "." else int(c) for c in row] for row in rows], dtype=np.uint8)
    return small.repeat(8, 0).repeat(8, 1)


def coco(root: Path, images: dict[str, tuple[list[str], list[tuple[int, int]]]]) -> Path:
    """Writes annotations/panoptic_x.json, its PNGs and x/ as COCO lies on disk."""
    maps = root / "annotations" / "panoptic_x"
    maps.mkdir(parents=True)
    (root / "x").mkdir()
    content: dict[str, Any] = {"images": [], "annotations": []}
    for number, (name, (rows, segments)) in enumerate(images.items()):
        ids = ids_of(rows)
        rgb = np.stack([ids, np.zeros_like(ids), np.zeros_like(ids)], 2)
        Image.fromarray(rgb).save(maps / f"{name}.png")
        Image.new("RGB", (32, 32)).save(root / "x" / f"{name}.jpg")
        content["images"].append({"id": number, "file_name": f"{name}.jpg"})
        info = [{"id": i, "category_id": c} for i, c in segments]
        content["annotations"].append(
            {"image_id": number, "file_name": f"{name}.png", "segments_info": info}
        )
    path = root / "annotations" / "panoptic_x.json"
    path.write_text(json.dumps(content))
    return path


TWO_HORSES = (["33..", "1.22", "1.22", "...."], [(1, HORSE), (2, HORSE), (3, SKY)])
EMPTY = (["....", "....", "....", "...."], [(9, HORSE)])


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    return coco(tmp_path, {"a": TWO_HORSES, "b": EMPTY, "c": (EMPTY[0], [])})


def test_the_three_templates(annotated: Path, tmp_path: Path) -> None:
    source = PanopticSource(parse_source(str(annotated)), GRID)
    names, boxes, one = source[0], source[1], source[2]
    assert [t.text for t in names.turns] == [
        "Provide multiple object names with their numbering index in the image.",
        "Sure, it is (#1 horse), (#2 horse), (#1 sky).",
    ]
    assert [t.text for t in boxes.turns] == [
        "Provide multiple object names with their numbering index and the objects' bounding box "
        "coordinates in this image.",
        "Sure, it is (#1 horse) [0.00, 0.25, 0.25, 0.75], (#2 horse) [0.50, 0.25, 1.00, 0.75], "
        "(#1 sky) [0.00, 0.00, 0.50, 0.25].",
    ]
    assert one.turns[1].text in (
        "Sure, it is (#1 horse) [0.00, 0.25, 0.25, 0.75], (#2 horse) [0.50, 0.25, 1.00, 0.75].",
        "Sure, it is (#1 sky) [0.00, 0.00, 0.50, 0.25].",
    )
    chosen = "horse" if "horse" in one.turns[1].text else "sky"
    assert (
        one.turns[0].text == f"Provide multiple bounding box coordinates for {chosen} in the image."
    )
    assert [c.sample_id for c in (names, boxes, one)] == [
        f"panoptic_x:a/{part}" for part in ("names", "boxes", "class")
    ]
    assert {(c.kind, c.task, c.crayon_text) for c in (names, boxes, one)} == {
        ("image", "panoptic_x", False)
    }
    assert names.images[0].path == tmp_path / "x" / "a.jpg"
    assert source.has_image(0) and source.num_images(2) == 1
    assert source.length(1) > source.length(0) and source.num_turns(0) == 2
    for row in range(3):
        assert source.length(row) >= sum(len(turn.text) for turn in source[row].turns)


def test_numbers_and_boxes_are_those_of_the_crayon_prompt(annotated: Path) -> None:
    source = PanopticSource(parse_source(str(annotated)), GRID)
    segmenter = PrecomputedSegmenter(annotated, annotated.with_suffix(""), GRID)
    conversation = source[1]
    import torch

    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    segments = segmenter.segment(pixels, conversation.images)
    sentence = make_crayon_prompt(segments, segmenter.class_names, "text_only").text[0]
    assert sentence is not None
    told = conversation.turns[1].text
    assert told.removeprefix("Sure, it is ") == sentence.removeprefix("The image includes ")
    mix = open_mix([f"{annotated}?limit=4"], grid=GRID)
    found = mix.segments(Ref(0, 1))
    assert found is not None and torch.equal(found.ids, segments[0].ids)
    assert found.segments == segments[0].segments


def test_images_with_nothing_on_the_grid(annotated: Path) -> None:
    source = PanopticSource(parse_source(str(annotated)), GRID)
    assert len(source) == 6  # of the third image nothing is annotated
    assert source[3].turns[1].text == "None of detailed object information for image."
    assert "for any object in the image" in source[5].turns[0].text


def test_the_class_is_drawn_by_row_and_seed(tmp_path: Path) -> None:
    path = coco(tmp_path, {f"i{n}": TWO_HORSES for n in range(12)})
    asked = []
    for seed in (0, 1, 0):
        source = open_mix([str(path)], seed, grid=GRID).sources[0]
        asked.append([source[3 * n + 2].turns[0].text for n in range(12)])
    assert asked[0] == asked[2] != asked[1]
    assert {re.findall("for (.*) in", text)[0] for text in asked[0]} == {"horse", "sky"}


def test_a_source_knows_what_it_holds(annotated: Path, tmp_path: Path) -> None:
    spec = parse_source(str(annotated))
    prints = {PanopticSource(spec, grid).fingerprint() for grid in (GRID, (2, 2), GRID)}
    assert len(prints) == 2


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_missing_or_broken(annotated: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need the patch grid of a model with a Crayon Prompt"):
        open_mix([str(annotated)])
    with pytest.raises(MissingFileError, match="no image folder /none; set images="):
        open_mix([f"{annotated}?images=/none"], grid=GRID)
    source = PanopticSource(parse_source(str(annotated)), GRID)
    png = annotated.with_suffix("") / "a.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(DataError, match="the panoptic map .*a.png cannot be read"):
        source[0]
    png.unlink()
    with pytest.raises(MissingFileError, match="the panoptic map .*a.png of image .*a.jpg is no"):
        source[0]
    rewrite(annotated, lambda c: c["annotations"][0]["segments_info"][0].update(category_id=300))
    with pytest.raises(DataError, match="image a.jpg has category 300, which"):
        PanopticSource(parse_source(str(annotated)), GRID)
    annotated.with_suffix("").rename(tmp_path / "elsewhere")
    with pytest.raises(MissingFileError, match="there is no folder .*panoptic_x of the panoptic P"):
        PanopticSource(parse_source(str(annotated)), GRID)
