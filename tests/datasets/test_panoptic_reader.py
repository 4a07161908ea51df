"""COCO-panoptic files as people have them: classes by name, maps in the frame of their photos."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from collavo.datasets.instruction.opening import open_mix
from collavo.datasets.instruction.panoptic import PanopticSource
from collavo.datasets.instruction.source import SourceSpec
from collavo.datasets.mappers.image import frame_of, open_image
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC
from collavo.datasets.registration.probes import load_probe
from collavo.datasets.registration.readers.panoptic import (
    PanopticImage,
    _class,
    read_map,
    read_panoptic,
    vocabulary_of,
)
from collavo.datasets.segmentation.folder import PanopticFolder
from collavo.errors import ConfigError, DataError
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
        ([{"id": 2, "name": "floor_other_merged"}, {"id": 1, "name": "WALL-BRICK"}],
         ["wall-brick", "floor"]),
        ([{"id": 1, "name": "sky-merged"}, {"id": 2, "name": " Mirror "}], ["sky", "mirror"]),
        ([{"id": 1, "name": "dog"}, {"id": 2, "name": "Dog"}], ["dog", "dog"]),
        ([{"id": 1, "name": "dog"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
         ["dog", "cat"]),
        ([{"id": "1", "name": "dog", "isthing": None}, {"id": 2.0, "name": "cat"}],
         ["dog", "cat"]),
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


def test_no_class_is_another_in_another_spelling() -> None:
    spelled = {_class(category.name) for category in COCO_PANOPTIC}
    assert len(spelled) == 133 == len({_class(name) for name in CLEAN_NAMES} & spelled)


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        ([{"id": 1}, {"id": 2, "name": "dog"}], "category {'id': 1} has no id or no name"),
        ([{"id": 1, "name": None}], "category {'id': 1, 'name': None} has no id or no name"),
        ([{"id": 1, "name": float("nan")}], "'name': None} has no id or no name"),
        ([{"id": 1, "name": " "}], "has no id or no name"),
        ([{"id": float("nan"), "name": "dog"}], "has no id or no name"),
        ([{"id": 1, "name": "crack"}, {"id": 1, "name": "dog"}],
         "category id 1 stands for 'crack' and for 'dog'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("classes", ["coco", "own"])
def test_categories_without_a_name_of_their_own(
    tmp_path: Path, categories: list[dict[str, Any]], said: str, classes: str
) -> None:
    path = write(tmp_path, categories, [1])
    with pytest.raises(DataError, match=re.escape(said)):
        source(path, classes)


def test_a_file_without_categories_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, None, [1])
    source(path)
    assert "panoptic.json lists no categories: its ids are read as COCO" in caplog.text
    with pytest.raises(DataError, match="lists no categories, so it has no vocabulary of its own"):
        source(path, "own")


def test_an_own_vocabulary_has_the_order_of_its_ids(tmp_path: Path) -> None:
    """Two files of the same categories give the same rows of the model's table."""
    listed = [*OWN, {"id": 0, "name": "rust-stain-merged"}]
    for number, categories in enumerate((listed, listed[::-1])):
        made = source(write(tmp_path / str(number), categories, [1]), "own")
        assert made.class_names == ("rust-stain-merged", "crack", "rust stain")


@pytest.mark.parametrize("key", ["id", "category_id"])
def test_a_segment_without_id_is_named(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, OWN, [1])
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0][key] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"a segment of image a.png has no {key}"):
        read_panoptic(path)


def test_sources_of_different_classes_are_not_mixed(tmp_path: Path) -> None:
    own, other = (
        f"panoptic:{write(tmp_path / name, categories, [1])}?images={tmp_path / name}&name={name}"
        for name, categories in (("own", OWN), ("coco", [{"id": 1, "name": "dog"}]))
    )
    mix = open_mix([f"{own}&classes=own"], grid=(2, 3))
    assert mix.class_names == ("crack", "rust stain")
    with pytest.raises(ConfigError, match="own and coco are annotated with different classes"):
        open_mix([f"{own}&classes=own", other], grid=(2, 3))


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
    assert np.array_equal(read_map(tmp_path, PanopticImage("a", "map.png", ()), ref), upright)
    if orientation >= 5:  # drawn over the upright photo: its size says so
        Image.fromarray(np.stack([upright, 0 * upright, 0 * upright], 2)).save(tmp_path / "up.png")
        assert np.array_equal(read_map(tmp_path, PanopticImage("a", "up.png", ()), ref), upright)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [0, *range(1, 10)])
def test_a_frame_is_that_of_the_opened_image(format_: str, orientation: int) -> None:
    """Orientations that EXIF does not know turn nothing; Pillow turns TIFFs by itself."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.new("RGB", (6, 4)).save(stream, format_, exif=exif)
    frame = frame_of(ImageRef(data=stream.getvalue(), name="photo"))
    assert frame.stored == (6, 4)
    assert frame.upright == open_image(ImageRef(data=stream.getvalue(), name="photo")).size
    assert frame.orientation == (orientation if 2 <= orientation <= 8 else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_turns_its_boxes(tmp_path: Path, orientation: int) -> None:
    """Of probes, by the file's width and height: those of the stored pixels or the upright ones."""
    ids = np.zeros((40, 60), dtype=np.uint8)
    ids[4:12, 6:30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ids).save(tmp_path / "a.png", exif=exif)
    shown = np.asarray(open_image(ImageRef(path=tmp_path / "a.png")))[:, :, 0]
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    height, width = shown.shape
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    boxes = {(60, 40): [6, 4, 24, 8]}
    if orientation >= 5:
        boxes[width, height] = [int(x) for x in (x0, y0, x1 - x0, y1 - y0)]
    for size, box in boxes.items():
        segment = {"id": 255, "category_id": 1, "bbox": box}
        image = {"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}
        annotation = {"image_id": 1, "file_name": "a.png", "segments_info": [segment]}
        path = tmp_path / "panoptic.json"
        path.write_text(json.dumps({"images": [image], "annotations": [annotation]}))
        sample = load_probe("box2class", path)[0]
        wanted = (x0 / width, y0 / height, x1 / width, y1 / height)
        assert sample.extra["box"] == pytest.approx(wanted)
        assert (sample.extra["width"], sample.extra["height"]) == (width, height)


def test_a_map_of_another_encoding_is_refused(tmp_path: Path) -> None:
    """Ids in 16 bits or in each channel alike are no COCO panoptic PNG."""
    path = write(tmp_path, None, [1, 2])
    grey = np.array([[1, 1, 2, 2, 0, 0]] * 4, dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "panoptic/a.png")
    with pytest.raises(DataError, match="none of the segments 1, 2 of image a.png, but 0, 65"):
        source(path).segments(0)


@pytest.mark.parametrize("which", ["image", "map"])
def test_paths_that_leave_their_folder_are_refused(tmp_path: Path, which: str) -> None:
    path = write(tmp_path / "in", OWN, [1])
    content = json.loads(path.read_text())
    outside = "../../a.png" if which == "map" else f"{tmp_path}/a.png"
    content["images" if which == "image" else "annotations"][0]["file_name"] = outside
    content["categories"] = [{"id": 1, "name": "dog"}]
    path.write_text(json.dumps(content))
    Image.new("RGB", (6, 4), (1, 0, 0)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="leaves the dataset folder"):
        source(path).segments(0)
    with pytest.raises(DataError, match="leaves the dataset folder"):
        PanopticFolder(path, path.parent, 8)[0]
    if which == "map":
        kept = PrecomputedSegmenter(path, path.with_suffix(""), (2, 3))
        with pytest.raises(DataError, match="leaves the dataset folder"):
            kept.segment(torch.zeros(1, 3, 8, 8), [ImageRef(path=tmp_path / "in/a.png")])


def test_a_map_of_another_picture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, None, [1])
    Image.new("RGB", (6, 5)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png is 6 x 4 pixels, but its image .*a.png 6 x 5"):
        source(path).segments(0)
    with pytest.raises(DataError, match="6 x 4 pixels"):
        PanopticFolder(path, tmp_path, 8)[0]
