"""COCO-panoptic files as people have them: classes by name, maps in the frame of their photos."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from collavo.datasets.instruction.panoptic import PanopticSource
from collavo.datasets.instruction.source import SourceSpec
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.datasets.registration.readers.panoptic import read_map, read_panoptic, vocabulary_of
from collavo.datasets.segmentation.folder import PanopticFolder
from collavo.errors import DataError
from collavo.modeling.segmenters.precomputed import PrecomputedSegmenter
from collavo.records import ImageRef


def write(folder: Path, categories: list[dict[str, Any]] | None, used: list[int]) -> Path:
    """One image of 6 x 4 pixels whose segments 1, 2, ... are its columns, with their PNG."""
    (folder / "panoptic").mkdir(parents=True, exist_ok=True)
    ids = np.zeros((4, 6, 3), dtype=np.uint8)
    for number in range(len(used)):
        ids[:, 2 * number : 2 * number + 2, 0] = number + 1
    Image.fromarray(ids).save(folder / "panoptic" / "a.png")
    Image.new("RGB", (6, 4)).save(folder / "a.png")
    segments = [{"id": k + 1, "category_id": number} for k, number in enumerate(used)]
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
    }
    if categories is not None:
        content["categories"] = categories
    path = folder / "panoptic.json"
    path.write_text(json.dumps(content))
    return path


def source(path: Path, classes: str = "coco") -> PanopticSource:
    return PanopticSource(
        SourceSpec("own", str(path), images=str(path.parent), format="panoptic", classes=classes),
        (2, 3),
    )


@pytest.mark.parametrize(
    ("categories", "names"),
    [
        (None, ["person", "bicycle"]),
        ([{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}], ["person", "bicycle"]),
        ([{"id": 1, "name": "dog"}, {"id": 2, "name": "person"}], ["dog", "person"]),
        ([{"id": 2, "name": "Sky-Other-Merged"}, {"id": 1, "name": "traffic_light"}],
         ["traffic light", "sky"]),
        ([{"id": 1, "name": "sky"}, {"id": 2, "name": "dog"}, {"id": 7, "name": "crack"}],
         ["sky", "dog"]),
    ],
)  # fmt: skip
def test_classes_are_read_by_their_names(
    tmp_path: Path, categories: list[dict[str, Any]], names: list[str]
) -> None:
    path = write(tmp_path, categories, [1, 2])
    trained = source(path)
    found = [CLEAN_NAMES[s.label_id] for s in trained.segments(0).segments]
    assert found == names and trained.class_names == CLEAN_NAMES
    assert all(name in trained[0].turns[1].text for name in names)
    kept = PrecomputedSegmenter(path, path.with_suffix(""), (2, 3))
    assert kept.class_names == CLEAN_NAMES
    assert len(PanopticFolder(path, tmp_path, 8)) == 1


OWN = [{"id": 1, "name": "crack"}, {"id": 2, "name": "rust stain"}]


def test_own_classes_under_coco_s_ids_are_refused_with_their_names(tmp_path: Path) -> None:
    path = write(tmp_path, OWN, [1, 2])
    said = "has classes of its own: crack, rust stain"
    with pytest.raises(DataError, match=f"{said}.*classes=own"):
        source(path)
    with pytest.raises(DataError, match=f"{said}.*PRECOMPUTED.CLASSES own"):
        PrecomputedSegmenter(path, path.with_suffix(""), (2, 3))
    with pytest.raises(DataError, match=said):
        PanopticFolder(path, tmp_path, 8)


def test_a_vocabulary_of_one_s_own_can_be_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, OWN, [2, 1])
    trained = source(path, "own")
    assert trained.class_names == ("crack", "rust stain")
    assert [s.label_id for s in trained.segments(0).segments] == [1, 0]
    assert "(#1 rust stain), (#1 crack)" in trained[0].turns[1].text
    kept = PrecomputedSegmenter(path, path.with_suffix(""), (2, 3), "own")
    assert kept.class_names == ("crack", "rust stain")
    assert (
        kept.fingerprint()
        != PrecomputedSegmenter(
            write(tmp_path / "b", None, [2, 1]), tmp_path / "b/panoptic", (2, 3)
        ).fingerprint()
    )
    many = [{"id": k, "name": f"class {k}"} for k in range(1, 135)]
    with pytest.raises(DataError, match="134 categories, 134 of them of different names"):
        source(write(tmp_path / "c", many, [1]), "own")
    with pytest.raises(DataError, match="2 categories, 1 of them of different names"):
        source(write(tmp_path / "d", [OWN[0], {**OWN[0], "id": 2}], [1]), "own")


def test_a_category_that_is_not_listed_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, OWN, [1, 3])
    with pytest.raises(DataError, match="has category 3, which 'categories' does not list.* 1, 2"):
        vocabulary_of(read_panoptic(path), path, "own", "")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_turns_its_map(tmp_path: Path, orientation: int) -> None:
    ids = np.arange(24).reshape(4, 6).astype(np.uint8)
    photo = Image.fromarray(ids)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    photo.save(stream, "PNG", exif=exif)
    ref = ImageRef(data=stream.getvalue(), name="photo")
    stored = Image.fromarray(np.stack([ids, 0 * ids, 0 * ids], 2))
    stored.save(tmp_path / "map.png")
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(stream.getvalue()))))
    assert np.array_equal(read_map(tmp_path / "map.png", ref), upright)
    if orientation >= 5:  # drawn over the upright photo: its size says so
        Image.fromarray(np.stack([upright, 0 * upright, 0 * upright], 2)).save(tmp_path / "up.png")
        assert np.array_equal(read_map(tmp_path / "up.png", ref), upright)


def test_a_map_of_another_picture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, None, [1])
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png is 6 x 4 pixels, but its image .*a.png 6 x 5"):
        source(path).segments(0)
    with pytest.raises(DataError, match="6 x 4 pixels"):
        PanopticFolder(path, tmp_path, 8)[0]
