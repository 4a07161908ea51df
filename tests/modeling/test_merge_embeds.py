"""Where image tokens land, and that their embeddings land there."""

from __future__ import annotations

import pytest
import torch

from collavo.modeling.ops.merge_embeds import IGNORE_INDEX, lay_out, merge_image_embeds

IMAGE, N, PAD = 99, 3, 0


def test_left_padding_and_different_places() -> None:
    layout = lay_out([[1, IMAGE, 2], [3, 4, IMAGE, 5, 6]], IMAGE, N, PAD)
    assert layout.ids.tolist() == [
        [PAD, PAD, 1, PAD, PAD, PAD, 2],
        [3, 4, PAD, PAD, PAD, 5, 6],
    ]
    assert layout.mask.tolist() == [[False] * 2 + [True] * 5, [True] * 7]
    assert layout.rows.tolist() == [3, 4, 5, 9, 10, 11]
    assert layout.span is None and layout.padded and layout.lengths == (5, 7)


def test_right_padding_gives_one_span() -> None:
    layout = lay_out([[1, IMAGE, 2], [3, IMAGE, 4, 5]], IMAGE, N, PAD, side="right")
    assert layout.ids.tolist() == [[1, 0, 0, 0, 2, 0], [3, 0, 0, 0, 4, 5]]
    assert layout.span == (1, 4) and layout.lengths == (5, 6)
    assert not layout.padded  # nothing sees what comes after it


def test_masks_and_labels_are_expanded() -> None:
    layout = lay_out(
        [[7, 1, IMAGE, 2]], IMAGE, N, PAD, masks=[[0, 1, 1, 1]], labels=[[-100, -100, -100, 2]]
    )
    assert layout.mask.tolist() == [[False, True, True, True, True, True]]
    assert layout.labels is not None
    assert layout.labels.tolist() == [[IGNORE_INDEX] * 5 + [2]]
    assert layout.span == (2, 5) and layout.padded


def test_text_alone_and_several_images() -> None:
    text = lay_out([[1, 2], [3, 4]], IMAGE, N, PAD)
    assert text.span is None and len(text.rows) == 0 and not text.padded
    several = lay_out([[IMAGE, 1, IMAGE], [2]], IMAGE, N, PAD)
    assert several.rows.tolist() == [0, 1, 2, 4, 5, 6]
    assert several.ids[1].tolist() == [0, 0, 0, 0, 0, 0, 2]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_embeddings_are_written_over_the_placeholders(grad: bool, side: str) -> None:
    layout = lay_out([[1, IMAGE, 2], [3, IMAGE, 4, 5]], IMAGE, N, PAD, side=side)
    text = torch.randn(2, 6, 4)
    image = torch.randn(2, N, 4, requires_grad=grad)
    expected = text.clone()
    for row in range(2):
        start = int(layout.rows[row * N]) - row * 6
        expected[row, start : start + N] = image[row].detach()
    with torch.set_grad_enabled(grad):
        found = merge_image_embeds(text.clone(), image.flatten(0, 1), layout)
    assert torch.equal(found, expected)
    if grad:
        found.sum().backward()
        assert image.grad is not None and bool((image.grad == 1).all())
