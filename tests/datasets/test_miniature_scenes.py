"""The scenes: the same everywhere, varied, and with ground truth that is the picture's own."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from collavo.datasets.miniature import scenes
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.layout import Placed
from collavo.datasets.miniature.raster import Sprite
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, TRAINING_SEEDS, Scene, scene
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC

ANNOTATIONS = "18798d5603ac478d57c0254f1778af2e770b919513bee94aea4ee00ae9d1a0bb"
"""sha256 of what `annotation` gives for the seeds 0..5 and 900000001..900000006."""


def annotation(drawn: Scene) -> bytes:
    """Everything that is known about a scene, as bytes."""
    text = repr((drawn.seed, drawn.place, drawn.things, drawn.stuff, drawn.panoptic.shape))
    return text.encode() + drawn.panoptic.astype("<i4").tobytes()


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [scene(seed) for seed in range(150)]


def test_annotations_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for start in (0, EVALUATION_SEEDS[1]):
        for seed in range(start, start + 6):
            digest.update(annotation(scene(seed)))
    assert digest.hexdigest() == ANNOTATIONS


def test_one_seed_one_picture(many: list[Scene]) -> None:
    for drawn in many[:4]:
        again = scene(drawn.seed)
        assert again.image.tobytes() == drawn.image.tobytes()
        assert annotation(again) == annotation(drawn)
    assert len({drawn.image.tobytes() for drawn in many}) == len(many)


def test_the_world_is_varied(many: list[Scene]) -> None:
    things = {thing.name for drawn in many for thing in drawn.things}
    stuff = {region.name for drawn in many for region in drawn.stuff}
    assert things == set(SHAPES) and len(things) == 20
    assert len(stuff) >= 15
    counts = Counter(count for drawn in many for count in drawn.counts().values())
    assert all(counts[k] >= 5 for k in range(1, 7))
    assert len({drawn.image.size for drawn in many}) == len(scenes.SIZES)
    assert len({drawn.place for drawn in many}) == 9
    cars = [thing for drawn in many for thing in drawn.of("car")]
    assert len({car.color for car in cars}) >= 5
    assert max(car.area for car in cars) > 3 * min(car.area for car in cars)


def test_segments_are_measured_exactly(many: list[Scene]) -> None:
    for drawn in many:
        width, height = drawn.image.size
        assert drawn.panoptic.shape == (height, width)
        segments = (*drawn.things, *drawn.stuff)
        assert [segment.id for segment in segments] == list(range(1, len(segments) + 1))
        assert set(np.unique(drawn.panoptic)) - {0} == {segment.id for segment in segments}
        assert (drawn.panoptic == 0).mean() < 0.004
        for segment in segments:
            rows, columns = np.nonzero(drawn.panoptic == segment.id)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert segment.box == box and segment.area == len(rows)
            category = COCO_PANOPTIC[segment.label_id]
            assert category.name == segment.name
            assert category.isthing == (segment in drawn.things)


def test_every_object_can_be_seen(many: list[Scene]) -> None:
    for drawn in many:
        assert len(drawn.counts()) >= scenes.MIN_CLASSES
        assert max(drawn.counts().values()) <= 6
        for thing in drawn.things:
            assert thing.area >= 0.002 * drawn.panoptic.size, (drawn.seed, thing)
            assert thing.color in SHAPES[thing.name].colors


def test_objects_do_overlap_sometimes(many: list[Scene]) -> None:
    hidden = 0
    for drawn in many:
        boxes = [thing.box for thing in drawn.things]
        hidden += any(
            min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
            for i, a in enumerate(boxes)
            for b in boxes[:i]
        )
    assert 0.2 < hidden / len(many) < 0.95


def test_masks_agree_with_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painted in magenta, which no background is, the objects show where their masks say."""
    paint = scenes._paint

    def magenta(item: Placed, dice: Dice) -> Sprite:
        sprite = paint(item, dice)
        color = np.array((255, 0, 255), np.float32).reshape(3, 1, 1) * sprite.cover
        return Sprite(color, sprite.cover)

    monkeypatch.setattr(scenes, "_paint", magenta)
    for seed in range(12):
        drawn = scene(seed)
        red, green, blue = (np.asarray(drawn.image, np.int32)[..., c] for c in range(3))
        shows = red + blue - 2 * green > 255
        masked = np.isin(drawn.panoptic, [thing.id for thing in drawn.things])
        # Edge pixels are half background, so they can fall on either side of the threshold.
        assert (shows == masked).mean() > 0.985
        edge = np.zeros_like(masked)
        edge[1:-1, 1:-1] = (
            (masked[1:-1, 1:-1] != masked[:-2, 1:-1])
            | (masked[1:-1, 1:-1] != masked[2:, 1:-1])
            | (masked[1:-1, 1:-1] != masked[1:-1, :-2])
            | (masked[1:-1, 1:-1] != masked[1:-1, 2:])
        )
        assert ((shows != masked) & ~edge).sum() <= 0.0005 * masked.size


def test_hidden_objects_are_left_out() -> None:
    """Of two equal objects at one place only the nearer is drawn, and the map knows no other."""
    shape = SHAPES["apple"]
    placed = [Placed(shape, "red", (10, 10, 50, 51), depth, False) for depth in (0.2, 0.8)]
    placed.append(Placed(shape, "green", (44, 12, 84, 53), 0.9, False))
    sprites = [scenes._paint(item, Dice(1)) for item in placed]
    owner = scenes._visible(placed, sprites, (60, 100))
    assert set(np.unique(owner)) == {-1, 1, 2}


def test_seeds_to_train_and_to_evaluate_on_are_apart() -> None:
    assert TRAINING_SEEDS.stop == EVALUATION_SEEDS.start
    with pytest.raises(ValueError, match=r"seeds lie in \[0, 1000000000\), got -1"):
        scene(-1)
    with pytest.raises(ValueError, match="got 1000000000"):
        scene(1_000_000_000)
