"""The rule from logits to segments, against the original's numbers and transformers."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import Mask2FormerImageProcessorPil

from collavo.modeling.segmenters.panoptic import Thresholds, post_process
from collavo.records import Segment, Segments


def blobs(seed: int, batch: int, queries: int, side: int, sure: float) -> tuple:
    """Logits of round masks whose class probabilities lie around `sure`."""
    random = torch.Generator().manual_seed(seed)
    classes = torch.randn(batch, queries, 134, generator=random)
    label = torch.randint(0, 134, (batch, queries, 1), generator=random)
    peak = sure + torch.randn(batch, queries, 1, generator=random)
    classes.scatter_(2, label, peak)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centre = torch.rand(batch, queries, 2, 1, 1, generator=random) * side
    radius = (0.1 + 0.4 * torch.rand(batch, queries, 1, 1, generator=random)) * side
    distance = ((y - centre[:, :, 0]) ** 2 + (x - centre[:, :, 1]) ** 2).sqrt()
    return classes, (radius - distance) * 40 / side


def library(classes, masks, grid, limits):
    """What transformers itself makes of the logits."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    outputs = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks.clone())
    results = Mask2FormerImageProcessorPil().post_process_panoptic_segmentation(
        outputs,
        limits.score,
        limits.mask,
        limits.overlap,
        label_ids_to_fuse=set(),
        target_sizes=[grid] * len(classes),
    )
    return [
        Segments(
            r["segmentation"].clamp(min=0).to(torch.int32),
            tuple(Segment(s["id"], s["label_id"], s["score"]) for s in r["segments_info"]),
        )
        for r in results
    ]


def assert_same(ours: list[Segments], theirs: list[Segments]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.ids, b.ids)
        assert a.segments == b.segments


def test_the_originals_numbers(golden):
    case = load_file(golden / "crayon_a" / "case.safetensors")
    made = post_process(case["class_queries_logits"], case["masks_queries_logits"], (35, 35))
    ids = torch.stack([m.ids for m in made])
    assert torch.equal(ids, case["segment_ids"].clamp(min=0))
    assert [len(m.segments) for m in made] == [7, 4, 3, 0]


@pytest.mark.parametrize(
    ("seed", "batch", "queries", "side", "grid", "limits"),
    [
        (0, 3, 30, 96, (35, 35), Thresholds()),
        (1, 2, 100, 64, (35, 35), Thresholds()),
        (2, 2, 40, 48, (16, 24), Thresholds()),
        (3, 2, 60, 96, (35, 35), Thresholds(0.5, 0.5, 0.2)),
        (4, 2, 60, 32, (7, 5), Thresholds(0.0, 0.3, 0.5)),
        (5, 1, 1, 96, (35, 35), Thresholds()),
    ],
)
def test_as_transformers_does(seed, batch, queries, side, grid, limits):
    classes, masks = blobs(seed, batch, queries, side, sure=9.0)
    theirs = library(classes, masks, grid, limits)
    assert_same(post_process(classes, masks, grid, limits), theirs)
    assert sum(len(t.segments) for t in theirs) > 0 or queries == 1


def test_more_masks_than_are_enlarged_at_a_time():
    classes, masks = blobs(7, 2, 90, 24, sure=14.0)
    theirs = library(classes, masks, (9, 9), Thresholds(0.1, 0.2, 0.1))
    assert_same(post_process(classes, masks, (9, 9), Thresholds(0.1, 0.2, 0.1)), theirs)
    assert (classes.softmax(-1).max(-1).values > 0.1).sum() > 128


def test_a_batch_is_its_images():
    classes, masks = blobs(8, 4, 20, 48, sure=9.0)
    classes[2] = 0.0
    classes[2, :, -1] = 9.0
    alone = [post_process(classes[i : i + 1], masks[i : i + 1], (35, 35))[0] for i in range(4)]
    assert_same(post_process(classes, masks, (35, 35)), alone)
    assert not alone[2].segments and not alone[2].ids.any()


def test_nothing_is_kept():
    classes = torch.zeros(2, 5, 134)
    classes[..., 133] = 8.0
    for made in post_process(classes, torch.randn(2, 5, 24, 24), (4, 6)):
        assert made.segments == ()
        assert made.ids.dtype == torch.int32
        assert made.ids.shape == (4, 6)
        assert not made.ids.any()


def one_query(probability: float) -> tuple[torch.Tensor, torch.Tensor]:
    other = (1 - probability) / 133
    classes = torch.full((1, 1, 134), other).log()
    classes[0, 0, 16] = torch.tensor(probability).log()
    masks = torch.full((1, 1, 96, 96), -20.0)
    masks[..., :48, :48] = 20.0
    return classes, masks


@pytest.mark.parametrize(("probability", "kept"), [(0.949, 0), (0.951, 1)])
def test_the_mask_threshold_counts_after_weighing(probability, kept):
    made = post_process(*one_query(probability), (35, 35))[0]
    assert len(made.segments) == kept
    # A single kept query owns every cell, since nothing competes for them.
    assert int((made.ids == 1).sum()) == 35 * 35 * kept


def test_a_rejected_query_keeps_its_cells_from_others():
    classes, masks = one_query(0.99)
    weak_classes, weak_masks = one_query(0.8)
    weak_masks = weak_masks.flip(-1)
    both = torch.cat([classes, weak_classes], 1), torch.cat([masks, weak_masks], 1)
    made = post_process(*both, (35, 35))[0]
    assert [s.label_id for s in made.segments] == [16]
    assert made.ids[0, 0] == 1
    assert made.ids[0, 34] == 0


def test_four_fifths_count_as_more_than_the_threshold():
    """In float32, in which the counts are divided, 4/5 is above the double 0.8."""
    grid = (1, 5)
    classes = torch.full((1, 2, 134), -20.0)
    classes[0, 0, 3] = classes[0, 1, 4] = 20.0
    cells = torch.full((1, 2, 1, 5), -30.0)
    cells[0, 0] = 8.0
    cells[0, 1, 0, 4] = 30.0
    masks = F.interpolate(cells, size=(20, 100), mode="nearest")
    made = post_process(classes, masks, grid)[0]
    assert [s.label_id for s in made.segments] == [3, 4]
    assert made.ids.tolist() == [[1, 1, 1, 1, 2]]
    stricter = post_process(classes, masks, grid, Thresholds(overlap=0.81))[0]
    assert [s.label_id for s in stricter.segments] == [4]
    assert stricter.ids.tolist() == [[0, 0, 0, 0, 1]]
