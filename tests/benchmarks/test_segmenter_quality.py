"""What the segmenter's benchmark counts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import segmenter_quality
from benchmarks.segmenter_quality import Tally, found_boxes, overlap, panoptic_pair
from collavo.datasets.miniature.scenes import scene
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.datasets.segmentation.example import squeeze_map
from collavo.modeling.architectures.tiny.__main__ import build
from collavo.modeling.segmenters.resize import to_grid
from collavo.records import Segment, Segments


class _Oracle:
    """Knows the truth of some scenes; may leave the first object out."""

    class_names = CLEAN_NAMES
    thresholds = SimpleNamespace(mask=0.95)

    def __init__(self, scenes: list, forgets: bool = False) -> None:
        self.grid, self._asked, self._scenes, self._forgets = (16, 16), 0, scenes, forgets

    def segment(self, images: torch.Tensor) -> list[Segments]:
        drawn = self._scenes[self._asked // 2]
        self._asked += 1
        segments = [Segment(s.id, s.label_id) for s in (*drawn.things, *drawn.stuff)]
        panoptic = drawn.panoptic
        if self.grid != (16, 16):
            panoptic = squeeze_map(panoptic, self.grid[0])
        return [to_grid(panoptic, segments[self._forgets :], self.grid)]


def test_the_truth_is_perfect() -> None:
    scenes = [scene(segmenter_quality.FIRST_SEED + n) for n in range(3)]
    figures = segmenter_quality.measure(_Oracle(scenes), scenes, 64)
    assert figures["images"] == 3
    for name in ("pq", "sq_things", "rq_stuff", "presence_recall", "presence_precision"):
        assert figures[name] == pytest.approx(1), name
    assert figures["count_accuracy"] == 1
    assert 0.5 < figures["box_overlap"] < 1  # the grid rounds boxes


def test_what_is_forgotten_costs() -> None:
    scenes = [scene(segmenter_quality.FIRST_SEED + n) for n in range(3)]
    figures = segmenter_quality.measure(_Oracle(scenes, forgets=True), scenes, 64)
    assert figures["pq"] < 1 and figures["rq_things"] < 1 and figures["count_accuracy"] < 1
    assert figures["presence_precision"] == 1


def test_presence_and_numbers_are_counted_by_image_and_class() -> None:
    tally, box = Tally(), (0.0, 0.0, 0.5, 0.5)
    tally.add({1: [box, box], 2: [box]}, {1: [box, box], 3: [box]})
    tally.add({1: [box]}, {1: [box, (0.5, 0.5, 1.0, 1.0)]})
    assert (tally.found, tally.missed, tally.invented, tally.counted) == (2, 1, 1, 1)
    assert tally.overlaps == [1, 1, 0, 1, 0]
    assert tally.figures()["presence_recall"] == pytest.approx(2 / 3)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 1, 1), (0.5, 0, 1.5, 1)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0 == overlap((0, 0, 0, 0), (0, 0, 0, 0))


def test_boxes_are_of_things_and_end_behind_their_last_cell() -> None:
    ids = torch.tensor([[1, 1, 0, 2], [1, 1, 0, 2]], dtype=torch.int32)
    boxes = found_boxes(Segments(ids, (Segment(1, 17), Segment(2, 100))))
    assert boxes == {17: [(0.0, 0.0, 0.5, 1.0)]}


def test_stuff_has_no_instances() -> None:
    pair = panoptic_pair(np.array([[0, 1], [2, 3]]), {1: 5, 2: 100, 3: 100}, void=133)
    assert pair.tolist() == [[[133, 0], [5, 1]], [[100, 0], [100, 0]]]


def test_it_prints_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path)
    arguments = ["--weights", str(tmp_path / "segmenter"), "--scenes", "2", "--mask-threshold", "1"]
    assert segmenter_quality.main(arguments) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["images"] == 2 and figures["thresholds"]["mask"] == 1
    assert figures["count_accuracy"] == 0
