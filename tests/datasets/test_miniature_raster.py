"""The painter: samples are set exactly where their centres lie inside."""

from __future__ import annotations

import numpy as np
import pytest

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import COLORS, JITTER, jittered
from collavo.datasets.miniature.raster import SAMPLES, Pen
from collavo.datasets.miniature.shapes.catalog import SHAPES

RED = (200, 20, 30)


def test_rectangle_covers_exactly_its_pixels() -> None:
    pen = Pen(10, 8)
    pen.rect(0.2, 0.25, 0.7, 0.75, RED)
    sprite = pen.finish(outline=0.0)
    expected = np.zeros((8, 10), np.float32)
    expected[2:6, 2:7] = 1
    np.testing.assert_array_equal(sprite.cover, expected)
    np.testing.assert_array_equal(sprite.color[0], expected * RED[0])


def test_edge_pixels_are_covered_in_part() -> None:
    pen = Pen(3, 1)
    pen.rect(0.0, 0.0, 0.5, 1.0, RED)
    # Half of the middle pixel: one of its three columns of samples has its centre left of the edge.
    np.testing.assert_allclose(pen.finish().cover, [[1, 1 / SAMPLES, 0]], rtol=1e-6)


def test_even_odd_rule_leaves_the_inside_of_a_ring_open() -> None:
    pen = Pen(9, 9)
    outer = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    inner = [(1 / 3, 1 / 3), (2 / 3, 1 / 3), (2 / 3, 2 / 3), (1 / 3, 2 / 3), (1 / 3, 1 / 3)]
    pen.polygon([*outer, *inner], RED)
    mask = pen.finish().mask
    assert mask.sum() == 81 - 9
    assert not mask[3:6, 3:6].any()


def test_ellipse_and_polygon_of_the_same_circle_agree() -> None:
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circle, polygon = Pen(60, 60), Pen(60, 60)
    circle.ellipse(0.5, 0.5, 0.4, 0.4, RED)
    polygon.polygon([(0.5 + 0.4 * np.cos(a), 0.5 + 0.4 * np.sin(a)) for a in angles], RED)
    area = circle.finish().cover.sum()
    assert area == pytest.approx(np.pi * 24**2, rel=0.005)
    assert polygon.finish().cover.sum() == pytest.approx(area, rel=0.005)


def test_later_parts_hide_earlier_ones_and_the_rim_is_darker() -> None:
    pen = Pen(20, 20)
    pen.rect(0, 0, 1, 1, RED)
    pen.rect(0.25, 0.25, 0.75, 0.75, (0, 200, 0))
    color = pen.finish(outline=0.5).color
    np.testing.assert_array_equal(color[:, 10, 10], (0, 200, 0))
    np.testing.assert_array_equal(color[:, 0, 10], (100, 10, 15))
    np.testing.assert_array_equal(color[:, 3, 3], RED)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_shape_fills_its_box_and_mirrors(name: str) -> None:
    shape = SHAPES[name]
    sprites = []
    for flip in (False, True):
        pen = Pen(round(72 * shape.aspect), 72, flip=flip)
        shape.paint(pen, COLORS[shape.colors[0]], Dice(5))
        sprites.append(pen.finish())
    mask = sprites[0].mask
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert rows[0] <= 5 and rows[-1] >= 66, "the box is filled from top to bottom"
    assert columns[0] <= 0.13 * mask.shape[1] and columns[-1] >= 0.84 * mask.shape[1]
    assert mask.mean() > 0.25, "solid enough to be seen on a coarse grid"
    # Samples lie symmetrically, so mirroring moves at most the samples that an edge runs through.
    assert (sprites[1].mask[:, ::-1] == mask).mean() > 0.99


def test_dice_draw_known_numbers() -> None:
    dice = Dice(7)
    assert [dice.integer(0, 99) for _ in range(6)] == [32, 15, 65, 7, 53, 36]
    assert Dice(7).shuffled("abcdef") == ["b", "a", "e", "c", "f", "d"]
    assert {Dice(k).weighted("ab", (0.0, 1.0)) for k in range(50)} == {"b"}
    share = np.mean([Dice(k).weighted("ab", (1, 3)) == "b" for k in range(2000)])
    assert share == pytest.approx(0.75, abs=0.04)


def test_shades_stay_near_the_colour_that_names_them() -> None:
    for name, color in COLORS.items():
        for seed in range(20):
            shade = jittered(name, Dice(seed))
            assert max(abs(a - b) for a, b in zip(shade, color, strict=True)) <= JITTER
            nearest = min(
                COLORS,
                key=lambda n: sum((a - b) ** 2 for a, b in zip(COLORS[n], shade, strict=True)),
            )
            assert nearest == name
