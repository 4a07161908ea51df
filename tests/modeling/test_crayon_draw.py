"""Pictures of crayon maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.crayon.draw import draw_crayon
from collavo.modeling.crayon.palette import class_color, ink_on, instance_color
from collavo.records import Segment, Segments


def halves() -> Segments:
    """A dog at the left, a sky at the right, a column of nothing between them."""
    ids = torch.ones(7, 7, dtype=torch.int32)
    ids[:, 3] = 0
    ids[:, 4:] = 2
    return Segments(ids, (Segment(1, 16), Segment(2, 119)))


def drawn() -> np.ndarray:
    """The map of `halves` over a grey photo of 700 x 420, and the legend at its right."""
    grey = Image.new("RGB", (700, 420), (90, 90, 90))
    return np.asarray(draw_crayon(grey, halves(), CLEAN_NAMES))[:, 700 + unit_of(700, 420) :]


def unit_of(width: int, height: int) -> int:
    """The font's size on a picture, which is the gap between photo and map as well."""
    return max(12, round((width * height) ** 0.5 / 40))


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
    picture = drawn()
    assert hue_near(picture[60, 120].astype(float), class_color(16))
    assert hue_near(picture[60, 600].astype(float), class_color(119))
    empty = picture[60, 350].astype(float)
    assert np.ptp(empty) <= 1


def test_outlines_lie_between_segments():
    picture = drawn()
    assert picture[60, 300].tolist() == [255, 255, 255]
    assert picture[60, 400].tolist() == [255, 255, 255]
    assert picture[60, 200].tolist() != [255, 255, 255]


def test_the_legend_stands_at_the_right_with_the_colors():
    picture = drawn()
    assert 420 < picture.shape[0] < 480
    legend = picture[:, 700:].reshape(-1, 3)
    for label in (16, 119):
        assert (legend == np.array(class_color(label))).all(1).sum() > 50
    assert (legend.sum(1) < 200).sum() > 50  # the text


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_image_mode(mode):
    made = draw_crayon(Image.new(mode, (64, 50)), halves(), CLEAN_NAMES)
    assert made.mode == "RGB"
    assert min(made.size) >= 256


@pytest.mark.parametrize("size", [(1, 1), (3000, 200), (200, 3000), (2500, 1200)])
def test_every_size(size):
    made = draw_crayon(Image.new("RGB", size), halves(), CLEAN_NAMES)
    assert max(made.height, made.width) < 5000


def test_text_grows_with_the_image():
    small = draw_crayon(Image.new("RGB", (480, 480)), halves(), CLEAN_NAMES)
    large = draw_crayon(Image.new("RGB", (1920, 1920)), halves(), CLEAN_NAMES)
    assert 3 < (large.width - 2 * 1920) / (small.width - 2 * 480) < 5


def test_no_objects():
    nothing = Segments(torch.zeros(35, 35, dtype=torch.int32), ())
    made = draw_crayon(Image.new("RGB", (500, 400), (200, 30, 30)), nothing, CLEAN_NAMES)
    assert 400 < made.height < 440 and made.width > 1060


def test_very_many_objects_fit():
    ids = torch.arange(1, 145, dtype=torch.int32).view(12, 12)
    crowd = Segments(ids, tuple(Segment(n, n % 5) for n in range(1, 145)))
    made = draw_crayon(Image.new("RGB", (640, 480)), crowd, CLEAN_NAMES)
    assert 480 < made.height < 520
    assert made.width < 1540  # one line a class, not 144


def luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance of an sRGB color. Source: WCAG 2.1."""
    parts = [c / 255 for c in color]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_labels_can_be_read():
    for label in range(133):
        for number in range(1, 8):
            color = instance_color(label, number)
            pair = luminance(color), luminance(ink_on(color))
            assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 3, (label, number)


def test_instances_of_a_class_tell_apart():
    for label in range(133):
        shades = np.array([instance_color(label, n) for n in range(1, 8)], dtype=float)
        apart = np.linalg.norm(shades[:, None] - shades[None], axis=2) + 999 * np.eye(7)
        assert apart.min() > 15 and apart[:3, :3].min() > 60, label
        assert instance_color(label, 1) == instance_color(label, 8) == class_color(label)
    ids = torch.arange(1, 5, dtype=torch.int32).repeat_interleave(2).expand(6, 8)
    dogs = Segments(ids, tuple(Segment(n, 16) for n in range(1, 5)))
    made = np.asarray(draw_crayon(Image.new("RGB", (640, 480)), dogs, CLEAN_NAMES))
    seen = [made[30, 656 + 80 + 160 * n].tolist() for n in range(4)]
    assert len({tuple(color) for color in seen}) == 4


def test_the_photo_stands_beside_the_map_in_its_own_size():
    photo = Image.effect_noise((640, 480), 60).convert("RGB")
    made = draw_crayon(photo, halves(), CLEAN_NAMES)
    assert np.array_equal(np.asarray(made.crop((0, 0, 640, 480))), np.asarray(photo))
    wide = Image.effect_noise((900, 300), 60).convert("RGB")
    below = draw_crayon(wide, halves(), CLEAN_NAMES)
    assert np.array_equal(np.asarray(below.crop((0, 0, 900, 300))), np.asarray(wide))
    assert below.height > 600 and below.width < 1300


class Written:
    """Notes what is written on a picture, instead of reading pixels."""

    def __init__(self, monkeypatch):
        self.texts: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        text, box = ImageDraw.ImageDraw.text, ImageDraw.ImageDraw.rounded_rectangle

        def noted(draw, place, words, *args, **kwargs):
            self.texts.append(words)
            return text(draw, place, words, *args, **kwargs)

        def boxed(draw, place, *args, **kwargs):
            self.boxes.append(tuple(place))
            return box(draw, place, *args, **kwargs)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
        monkeypatch.setattr(ImageDraw.ImageDraw, "rounded_rectangle", boxed)


def test_every_segment_of_size_has_its_name_and_no_label_hides_another(monkeypatch):
    written = Written(monkeypatch)
    ids = torch.zeros(24, 24, dtype=torch.int32)
    for n in range(6):  # narrow columns side by side, none as wide as its name
        ids[4:20, 3 * n : 3 * n + 2] = n + 1
    ids[23, 23] = 7
    label = CLEAN_NAMES.index("potted plant")
    crowd = Segments(ids, tuple(Segment(n, label) for n in range(1, 8)))
    draw_crayon(Image.new("RGB", (400, 400)), crowd, CLEAN_NAMES)
    on_map = written.texts[: written.texts.index("photo, 400 x 400 pixels")]
    assert sorted(on_map) == sorted([*(f"#{n} potted plant" for n in range(1, 7)), "#7"])
    boxes = written.boxes[:7]
    for k, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= 400 and 0 <= top < bottom <= 400
        for x1, y1, x2, y2 in boxes[:k]:
            assert right <= x1 or x2 <= left or bottom <= y1 or y2 <= top


def test_questions_and_answers_stand_below(monkeypatch):
    bare = draw_crayon(Image.new("RGB", (640, 480)), halves(), CLEAN_NAMES)
    written = Written(monkeypatch)
    asked = [("Is there\na dog?", "yes  (reference: yes)"), ("Why? " * 900, "x" * 900)]
    made = draw_crayon(Image.new("RGB", (640, 480)), halves(), CLEAN_NAMES, asked)
    assert made.width == bare.width and made.height > bare.height
    assert np.array_equal(np.asarray(made)[: bare.height], np.asarray(bare))
    assert "Is there a dog?" in written.texts and "yes  (reference: yes)" not in written.texts
    assert "yes (reference: yes)" in written.texts
    assert sum(text.startswith(("Why?", "xxx")) for text in written.texts) <= 12
    assert any(text.endswith("...") for text in written.texts)
    draw_crayon(Image.new("RGB", (64, 64)), halves(), CLEAN_NAMES, asked * 9)
    assert "and 6 more questions" in written.texts


def test_a_cropped_picture_is_what_the_map_lies_on():
    photo = Image.effect_noise((600, 300), 90).convert("RGB")
    squashed = np.asarray(photo.resize((300, 300), Image.Resampling.BILINEAR))
    middle = np.asarray(photo.crop((150, 0, 450, 300)))
    whole = draw_crayon(photo, halves(), CLEAN_NAMES)
    heights = []
    for seen in (squashed, middle):
        picture = torch.from_numpy(seen.copy()).permute(2, 0, 1)
        made = draw_crayon(photo, halves(), CLEAN_NAMES, picture=picture)
        below = np.asarray(made)[300 + 60 :, 310:590]  # right of a square of 300
        heights.append((below.std(), made.height))
    assert heights[0] == (np.asarray(whole)[360:, 310:590].std(), whole.height)
    assert heights[1][0] < 20 < heights[0][0]  # nothing but paper beside the square
