"""Batches: padding, labels at padding, images in the order of their ids, crayon maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from collavo.datasets.instruction.collate import Example, collate, with_blank_image
from collavo.errors import DataError
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.image_policies.square import square_input
from collavo.records import CrayonPrompt


def image(value: int, side: int = 4) -> VisualInput:
    return square_input(torch.full((3, side, side), value, dtype=torch.uint8), 4)


def maps(*values: int) -> CrayonPrompt:
    grid = torch.stack([torch.full((2, 2), value) for value in values])
    return CrayonPrompt(grid, grid + 100, ["", *[""] * (len(values) - 1)])


def example(ids: list[int], **fields: Any) -> Example:
    return Example(ids, [-100, *ids[1:]], sample_id=f"s:{ids[0]}", task="t", **fields)


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_padded_and_pads_have_no_label(side: str) -> None:
    batch = collate([example([5, 6, 2]), example([7, 2])], pad_id=2, side=side)
    pad, ignored, off = [2], [-100], [0]
    left = side == "left"
    assert batch.input_ids.tolist() == [[5, 6, 2], pad + [7, 2] if left else [7, 2] + pad]
    second = [-100, 2]
    assert batch.labels.tolist() == [
        [-100, 6, 2],
        ignored + second if left else second + ignored,
    ]
    assert batch.attention_mask.tolist() == [[1, 1, 1], off + [1, 1] if left else [1, 1] + off]
    assert batch.input_ids.dtype == batch.labels.dtype == torch.int64
    assert batch.sample_ids == ("s:5", "s:7") and batch.tasks == ("t", "t") and batch.kind == "vl"
    assert batch.visuals == () and batch.crayon is None


def test_images_and_maps_follow_the_rows() -> None:
    batch = collate(
        [
            example([1], visuals=(image(1), image(2)), crayon=maps(1, 2), crayon_text="two"),
            example([2], kind="image"),
            example([3], visuals=(image(3),), crayon=maps(3)),
        ],
        pad_id=0,
    )
    pixels = [visual.tensors["pixel_values"] for visual in batch.visuals]
    assert [int(p[0, 0, 0]) for p in pixels] == [1, 2, 3]
    assert {p.dtype for p in pixels} == {torch.uint8}
    assert batch.num_images == (2, 0, 1) and batch.kind == ""
    crayon = batch.crayon
    assert crayon is not None and crayon.semantic is not None and crayon.number is not None
    assert crayon.semantic[:, 0, 0].tolist() == [1, 2, 3]
    assert crayon.number[:, 0, 0].tolist() == [101, 102, 103]
    assert crayon.text == ["two", None, None]
    moved = batch.to("meta")
    assert moved.crayon is not None and moved.crayon.semantic is not None
    seen = [visual.tensors["pixel_values"] for visual in moved.visuals]
    devices = {x.device.type for x in (moved.labels, *seen, moved.crayon.semantic)}
    assert devices == {"meta"}


def test_a_blank_image_has_a_row_of_its_own_and_nothing_to_learn() -> None:
    batch = collate([example([5, 6, 2]), example([7, 2])], pad_id=2, side="right")
    seen = with_blank_image(batch, image_id=9, blank=image(0), maps=(2, 2))
    assert torch.equal(seen.input_ids[:2], batch.input_ids)
    assert seen.input_ids[2].tolist() == [9, 0, 0]
    assert seen.attention_mask[2].tolist() == [1, 0, 0]
    assert seen.labels[2].tolist() == [-100] * 3
    assert [v.tensors["pixel_values"].shape for v in seen.visuals] == [(3, 4, 4)]
    assert seen.crayon is not None and seen.crayon.semantic is not None
    assert seen.crayon.semantic.shape == (1, 2, 2) and not seen.crayon.semantic.any()
    assert with_blank_image(batch, 9, image(0), None).crayon is None


def test_a_text_without_maps_is_kept() -> None:
    batch = collate([example([1], visuals=(image(1),), crayon_text="one")], pad_id=0)
    assert batch.crayon == CrayonPrompt(None, None, ["one"])


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (lambda: [], "at least one example"),
        (lambda: [Example([1, 2], [1])], "2 ids came with 1 labels"),
        (
            lambda: [
                example([1], visuals=(image(1),), crayon=maps(1)),
                example([2], visuals=(image(2),)),
            ],
            "s:2: 1 images came with 0 crayon maps, and s:1 of the batch has maps",
        ),
    ],
)
def test_what_does_not_fit_is_refused(examples: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        collate(examples(), pad_id=0)
