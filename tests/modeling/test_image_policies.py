"""Image policies: what becomes of an image's pixels, and what batches are made of."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor

from collavo.errors import DataError
from collavo.modeling.image_policies.base import VisualInput, stacked
from collavo.modeling.image_policies.resize import resize
from collavo.modeling.image_policies.square import PadToSquare, ShortestEdgeCrop, Squash
from collavo.registry import IMAGE_POLICIES

MEAN = (0.48145466, 0.4578275, 0.40821073)


def noise(width: int, height: int) -> Image.Image:
    drawn = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(drawn.astype(np.uint8))


def pixels(visual: VisualInput) -> np.ndarray:
    assert visual.picture is not None
    assert torch.equal(visual.picture, visual.tensors["pixel_values"])
    return visual.picture.permute(1, 2, 0).numpy()


def pattern(width: int, height: int) -> Image.Image:
    """Colours by whole-number arithmetic, the same with every library."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    channels = (x * 7 + y * 13 + x * y * 3, x * x + 5 * y, y * y * 11 + x * 3)
    return Image.fromarray(np.stack([c % 256 for c in channels], 2).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "side", "bilinear", "bicubic"),
    [
        ((640, 480), 490, "5406cca22119ecfd", "89830c54ae4459a1"),
        ((480, 640), 490, "4b13f3915d8f488e", "338028e122772fca"),
        ((333, 1000), 490, "3e63885c5902c838", "69938a0ba4016437"),
        ((1000, 333), 336, "7f0e816271989ec7", "e58aaf50b4a7ac36"),
        ((224, 224), 490, "f28ca876666b3d0f", "fe98885cfec52c5e"),
        ((4000, 3000), 336, "9b9392566d60c0dc", "f0de92b5b52127a5"),
        ((37, 211), 224, "eed87fc76e12275c", "f5eb4b13019258d1"),
        ((512, 511), 448, "7808fcebdfba0b02", "a94b3b935f4f61bd"),
    ],
)
def test_resized_pixels_are_those_of_pillow_up_to_12(
    size: tuple[int, int], side: int, bilinear: str, bicubic: str
) -> None:
    """The sha256 of what Pillow 12.3.0's own `resize` gives in one call."""
    for name, digest in (("BILINEAR", bilinear), ("BICUBIC", bicubic)):
        made = resize(pattern(*size), (side, side), Image.Resampling[name])
        assert hashlib.sha256(made.tobytes()).hexdigest()[:16] == digest


def test_squashing_is_bilinear_and_leaves_what_fits() -> None:
    visual = Squash(28, 4)(noise(50, 30))
    expected = resize(noise(50, 30), (28, 28), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels(visual), np.asarray(expected))
    assert (visual.num_tokens, visual.shape_key) == (4, (3, 28, 28))
    same = noise(30, 30)
    assert np.array_equal(pixels(Squash(30, 4)(same)), np.asarray(same))


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (21, 40), (40, 40)])
def test_padding_is_centred_in_the_mean_colour(size: tuple[int, int]) -> None:
    found = pixels(PadToSquare(40, 4, MEAN)(noise(*size)))
    fill = [int(channel * 255) for channel in MEAN]
    left, top = (40 - size[0]) // 2, (40 - size[1]) // 2
    inside = found[top : top + size[1], left : left + size[0]]
    assert np.array_equal(inside, np.asarray(noise(*size)))
    outside = np.ones((40, 40), dtype=bool)
    outside[top : top + size[1], left : left + size[0]] = False
    assert all(pixel.tolist() == fill for pixel in found[outside])


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (28, 28), (29, 61), (14, 90)])
def test_cropping_is_clip_s_own(size: tuple[int, int]) -> None:
    own = CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size=28, do_rescale=False, do_normalize=False
    )
    expected = own(noise(*size), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    assert np.array_equal(pixels(ShortestEdgeCrop(28, 4)(noise(*size))), expected)


def test_only_equal_shapes_are_stacked() -> None:
    small, large = Squash(28, 4)(noise(9, 9)), Squash(14, 1)(noise(9, 9))
    assert stacked([small, small], "pixel_values", "cpu").shape == (2, 3, 28, 28)
    with pytest.raises(DataError, match=r"images of 2 shapes \(\(3, 14, 14\), \(3, 28, 28\)\)"):
        stacked([small, large], "pixel_values", "cpu")


def test_policies_are_registered() -> None:
    assert list(IMAGE_POLICIES) == ["crop", "pad", "squash"]
