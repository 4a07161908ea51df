"""Panoptic maps from disk: COCO's format, by image name, brought to the grid by majority."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from collavo.config import get_cfg
from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.modeling.segmenters.precomputed import PrecomputedSegmenter
from collavo.modeling.segmenters.resize import to_grid
from collavo.records import ImageRef, Segment
from collavo.registry import SEGMENTERS

BIG, SMALL = 70_000, 513
"""Ids that take three and two color channels."""


def write(folder: Path, images: list[str]) -> tuple[Path, Path]:
    """A sky (187) over a dog (18) of a third of the width, and a void corner."""
    pngs = folder / "panoptic"
    pngs.mkdir(parents=True)
    ids = np.zeros((90, 120), dtype=np.int64)
    ids[:60] = BIG
    ids[60:, :40] = SMALL
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)
    annotations = []
    for number, _ in enumerate(images):
        Image.fromarray(rgb).save(pngs / f"{number}.png")
        infos = [{"id": SMALL, "category_id": 18}, {"id": BIG, "category_id": 187}]
        row = {"image_id": number, "file_name": f"{number}.png", "segments_info": infos}
        annotations.append(row)
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(images)],
        "annotations": annotations,
    }
    path = folder / "panoptic.json"
    path.write_text(json.dumps(content))
    return path, pngs


def segment(segmenter, *paths):
    refs = [ImageRef(path=Path(p)) for p in paths]
    return segmenter.segment(torch.zeros(len(refs), 3, 8, 8, dtype=torch.uint8), refs)


def test_an_image_by_its_name(tmp_path):
    segmenter = PrecomputedSegmenter(*write(tmp_path, ["a.jpg"]), (3, 6))
    made = segment(segmenter, "/data/a.jpg")[0]
    assert made.ids.tolist() == [[2] * 6, [2] * 6, [1, 1, 0, 0, 0, 0]]
    assert made.segments == (Segment(1, 16), Segment(2, 119))
    crayon = make_crayon_prompt([made], segmenter.class_names)
    assert crayon.text == [
        "The image includes (#1 dog) [0.00, 0.67, 0.33, 1.00], (#1 sky) [0.00, 0.00, 1.00, 0.67]."
    ]


def test_coco_2014_names_find_the_maps_of_2017(tmp_path):
    segmenter = PrecomputedSegmenter(*write(tmp_path, ["000000000139.jpg"]), (3, 6))
    assert len(segment(segmenter, "/x/COCO_val2014_000000000139.jpg")[0].segments) == 2


def test_a_repeated_name_is_told_by_its_folder(tmp_path):
    segmenter = PrecomputedSegmenter(*write(tmp_path, ["one/a.jpg", "two/a.jpg"]), (3, 6))
    assert len(segment(segmenter, "/d/two/a.jpg")) == 1
    with pytest.raises(DataError, match="a.jpg has no annotation"):
        segment(segmenter, "/d/three/a.jpg")
    twice = PrecomputedSegmenter(*write(tmp_path / "again", ["a.jpg", "a.jpg"]), (3, 6))
    with pytest.raises(DataError, match="has several annotations"):
        segment(twice, "/d/a.jpg")


def test_an_image_without_annotation(tmp_path):
    segmenter = PrecomputedSegmenter(*write(tmp_path, ["a.jpg"]), (3, 6))
    with pytest.raises(DataError, match=r"b.jpg has no annotation in .*panoptic.json"):
        segment(segmenter, "/data/b.jpg")
    with pytest.raises(DataError, match="came without"):
        segmenter.segment(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_from_the_configuration(tmp_path):
    path, pngs = write(tmp_path, ["a.jpg"])
    kind = SEGMENTERS.get("precomputed")
    assert kind.needs_refs
    for keys in ({}, {"SEGMENTER.PRECOMPUTED.FOLDER": str(pngs)}):
        cfg = get_cfg(config_overrides={"SEGMENTER.PRECOMPUTED.JSON": str(path), **keys})
        assert len(segment(kind.from_config(cfg, grid=(3, 6), device="cpu"), "a.jpg")) == 1
    with pytest.raises(ConfigError, match=r"needs SEGMENTER.PRECOMPUTED.JSON"):
        kind.from_config(get_cfg(), grid=(3, 6))
    missing = get_cfg(config_overrides={"SEGMENTER.PRECOMPUTED.JSON": str(tmp_path / "no.json")})
    with pytest.raises(MissingFileError, match=r"there is no .*no.json"):
        kind.from_config(missing, grid=(3, 6))


def test_bad_files(tmp_path):
    path, pngs = write(tmp_path, ["a.jpg", "b.jpg"])
    segmenter = PrecomputedSegmenter(path, pngs, (3, 6))
    (pngs / "0.png").write_bytes((pngs / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"0.png cannot be read"):
        segment(segmenter, "a.jpg")
    (pngs / "1.png").unlink()
    with pytest.raises(MissingFileError, match=r"1.png of image b.jpg is not there"):
        segment(segmenter, "b.jpg")
    path.write_text(path.read_text().replace("187", "12"))
    with pytest.raises(DataError, match=r"image a.jpg has category 12, which"):
        PrecomputedSegmenter(path, pngs, (3, 6))
    path.write_text("{")
    with pytest.raises(DataError, match="is no COCO panoptic JSON"):
        PrecomputedSegmenter(path, pngs, (3, 6))


def test_the_fingerprint_covers_every_map(tmp_path):
    path, pngs = write(tmp_path, ["a.jpg", "b.jpg"])
    prints = {PrecomputedSegmenter(path, pngs, grid).fingerprint() for grid in [(3, 6), (6, 3)]}
    same = PrecomputedSegmenter(path, pngs, (3, 6)).fingerprint()
    assert len(prints) == 2 and same in prints
    Image.new("RGB", (120, 90)).save(pngs / "1.png")
    prints.add(PrecomputedSegmenter(path, pngs, (3, 6)).fingerprint())
    path.write_text(path.read_text().replace("18}", "17}"))
    prints.add(PrecomputedSegmenter(path, pngs, (3, 6)).fingerprint())
    assert len(prints) == 4


def test_the_miniatures_ground_truth():
    root = miniature_root()
    segmenter = PrecomputedSegmenter(
        root / "panoptic" / "panoptic_val.json", root / "panoptic" / "panoptic_val", (16, 16)
    )
    images = sorted((root / "coco2014" / "val2014").glob("*.jpg"))[:4]
    made = segment(segmenter, *images)
    assert all(len(m.segments) > 1 for m in made)
    names = {CLEAN_NAMES[s.label_id] for m in made for s in m.segments}
    assert len(names) > 2


def plain_majority(panoptic, ids, grid):
    """The rule of `to_grid`, cell by cell."""
    height, width = panoptic.shape
    result = np.zeros(grid, dtype=int)
    for row in range(grid[0]):
        for column in range(grid[1]):
            ys = [y for y in range(height) if int((y + 0.5) * grid[0] / height) == row]
            xs = [x for x in range(width) if int((x + 0.5) * grid[1] / width) == column]
            votes = panoptic[np.ix_(ys, xs)]
            counts = [int((votes == i).sum()) for i in ids]
            void = votes.size - sum(counts)
            best = max([*counts, void])
            result[row, column] = ids[counts.index(best)] if best in counts else 0
    return result


@pytest.mark.parametrize("shape", [(37, 53), (16, 16), (90, 9)])
def test_the_majority_of_each_cell_wins(shape):
    random = np.random.default_rng(0)
    ids = [9, 4, 70_000, 2]
    panoptic = random.choice([*ids, 0, 5], shape)
    made = to_grid(panoptic, [Segment(i, i % 7) for i in ids], (8, 9))
    wanted = plain_majority(panoptic, ids, (8, 9))
    kept = [i for i in ids if (wanted == i).any()]
    renumbered = np.zeros_like(wanted)
    for number, i in enumerate(kept, start=1):
        renumbered[wanted == i] = number
    assert made.ids.tolist() == renumbered.tolist()
    assert made.segments == tuple(Segment(n, i % 7) for n, i in enumerate(kept, start=1))


def test_fewer_pixels_than_cells():
    made = to_grid(np.array([[7, 0], [7, 8]]), [Segment(7, 1), Segment(8, 2)], (4, 6))
    assert made.ids.tolist() == [[1, 1, 1, 0, 0, 0]] * 2 + [[1, 1, 1, 2, 2, 2]] * 2


def test_no_segments():
    made = to_grid(np.full((5, 5), 3), [], (2, 2))
    assert made.segments == () and not made.ids.any()
