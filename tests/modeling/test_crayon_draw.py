"""Pictures of crayon maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.crayon.draw import draw_crayon
from collavo.modeling.crayon.palette import class_color, ink_on
from collavo.records import Segment, Segments


def halves() -> Segments:
    """A dog at the left, a sky at the right, a column of nothing between them."""
    ids = torch.ones(7, 7, dtype=torch.int32)
    ids[:, 3] = 0
    ids[:, 4:] = 2
    return Segments(ids, (Segment(1, 16), Segment(2, 119)))


def drawn() -> np.ndarray:
    grey = Image.new("RGB", (700, 420), (90, 90, 90))
    return np.asarray(draw_crayon(grey, halves(), CLEAN_NAMES))


def hue_near(pixel: np.ndarray, color: tuple[int, int, int]) -> bool:
    """Whether a pixel of a tinted grey image leans to the color's side of grey."""
    tint = pixel - pixel.mean()
    wanted = np.array(color) - np.mean(color)
    return float(tint @ wanted) > 0.95 * float(np.linalg.norm(tint) * np.linalg.norm(wanted))


def test_colors_are_fixed_and_all_different():
    colors = [class_color(label) for label in range(133)]
    assert len(set(colors)) == 133
    apart = np.array(colors, dtype=float)
    distances = np.linalg.norm(apart[:, None] - apart[None], axis=2) + 999 * np.eye(133)
    assert distances.min() > 20
    assert colors[:3] == [(0, 0, 255), (0, 238, 0), (255, 0, 34)]
    assert class_color(200) != class_color(119)


def test_segments_have_the_color_of_their_class():
    picture = np.asarray(
        draw_crayon(Image.new("RGB", (700, 420), (90, 90, 90)), halves(), CLEAN_NAMES)
    )
    assert hue_near(picture[60, 120].astype(float), class_color(16))
    assert hue_near(picture[60, 600].astype(float), class_color(119))
    empty = picture[60, 350].astype(float)
    assert np.ptp(empty) <= 1


def test_outlines_lie_between_segments():
    picture = np.asarray(
        draw_crayon(Image.new("RGB", (700, 420), (90, 90, 90)), halves(), CLEAN_NAMES)
    )
    assert picture[60, 300].tolist() == [255, 255, 255]
    assert picture[60, 400].tolist() == [255, 255, 255]
    assert picture[60, 200].tolist() != [255, 255, 255]


def test_the_legend_stands_at_the_right_with_the_colors():
    picture = np.asarray(
        draw_crayon(Image.new("RGB", (700, 420), (90, 90, 90)), halves(), CLEAN_NAMES)
    )
    assert picture.shape[0] == 420
    legend = picture[:, 700:].reshape(-1, 3)
    for label in (16, 119):
        assert (legend == np.array(class_color(label))).all(1).sum() > 50
    assert (legend.sum(1) < 200).sum() > 50  # the text


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_image_mode(mode):
    made = draw_crayon(Image.new(mode, (64, 50)), halves(), CLEAN_NAMES)
    assert made.mode == "RGB"
    assert min(made.size) >= 360


@pytest.mark.parametrize("size", [(1, 1), (3000, 200), (200, 3000), (2500, 1200)])
def test_every_size(size):
    made = draw_crayon(Image.new("RGB", size), halves(), CLEAN_NAMES)
    assert max(made.height, made.width) < 4000


def test_text_grows_with_the_image():
    small = draw_crayon(Image.new("RGB", (480, 480)), halves(), CLEAN_NAMES)
    large = draw_crayon(Image.new("RGB", (1920, 1920)), halves(), CLEAN_NAMES)
    assert 3 < (large.width - 1920) / (small.width - 480) < 5


def test_no_objects():
    nothing = Segments(torch.zeros(35, 35, dtype=torch.int32), ())
    made = draw_crayon(Image.new("RGB", (500, 400), (200, 30, 30)), nothing, CLEAN_NAMES)
    assert made.height == 400 and made.width > 560


def test_very_many_objects_fit():
    ids = torch.arange(1, 145, dtype=torch.int32).view(12, 12)
    crowd = Segments(ids, tuple(Segment(n, n % 5) for n in range(1, 145)))
    made = draw_crayon(Image.new("RGB", (640, 480)), crowd, CLEAN_NAMES)
    assert made.height == 480
    assert made.width < 900  # one line a class, not 144


def luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance of an sRGB color. Source: WCAG 2.1."""
    parts = [c / 255 for c in color]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_labels_can_be_read():
    for label in range(133):
        pair = luminance(class_color(label)), luminance(ink_on(class_color(label)))
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 3
