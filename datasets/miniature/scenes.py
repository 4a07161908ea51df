"""Draws scenes with exact panoptic ground truth: the same seed gives the same scene anywhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from collavo.datasets.miniature.backdrop import LABELS, Backdrop
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.layout import Placed, arrange
from collavo.datasets.miniature.palette import jittered
from collavo.datasets.miniature.places import PLACES
from collavo.datasets.miniature.raster import Pen, Sprite
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC

TRAINING_SEEDS = range(0, 900_000_000)
"""Seeds to train on."""

EVALUATION_SEEDS = range(900_000_000, 1_000_000_000)
"""Seeds of the benchmarks' scenes: never to be trained on."""

SIZES = ((320, 240), (360, 270), (400, 300), (420, 280), (480, 360), (320, 320))
"""Widths and heights of images, in pixels."""

MIN_VISIBLE = 0.5
"""An object of which less than this share shows is left out of the scene."""

MIN_CLASSES = 3
"""Every scene has objects of at least so many classes."""

_VOID_BELOW = 0.001
"""Slivers of stuff smaller than this share of the image are void, as in COCO."""

_ATTEMPTS = 64

Box = tuple[int, int, int, int]
"""Absolute pixels, XYXY: the right and lower ends lie outside."""


@dataclass(frozen=True)
class Thing:
    """One object.

    Args:
        id: Its value in the panoptic map.
        label_id: The contiguous COCO panoptic class (0..79).
        name: The COCO name.
        color: What colour one would call it; for people, that of the clothes.
        box: Of its visible pixels.
        area: Visible pixels.
    """

    id: int
    label_id: int
    name: str
    color: str
    box: Box
    area: int

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the box, in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Region:
    """All visible pixels of one kind of stuff; the fields are those of `Thing`."""

    id: int
    label_id: int
    name: str
    box: Box
    area: int


@dataclass(frozen=True)
class Scene:
    """A drawn scene and everything that is known about it.

    Args:
        seed: What it was drawn from.
        place: What kind of place it shows ("beach").
        image: RGB.
        panoptic: (H, W) int32, 0 void, else the id of a thing or a region.
        things: By class, then from left to right; ids from 1.
        stuff: By class; ids after those of the things.
    """

    seed: int
    place: str
    image: Image.Image
    panoptic: np.ndarray
    things: tuple[Thing, ...]
    stuff: tuple[Region, ...]

    def counts(self) -> dict[str, int]:
        """How many objects each class of things has, in the order of the COCO classes."""
        return dict(Counter(thing.name for thing in self.things))

    def absent(self) -> list[str]:
        """The classes of things that are not there, in the order of the shapes."""
        found = self.counts()
        return [name for name in SHAPES if name not in found]

    def of(self, name: str) -> list[Thing]:
        """The objects of one class, from left to right."""
        return [thing for thing in self.things if thing.name == name]


def scene(seed: int) -> Scene:
    """Draws the scene of a seed.

    Args:
        seed: From `TRAINING_SEEDS` or `EVALUATION_SEEDS`.

    Raises:
        ValueError: The seed lies outside both.
    """
    if not 0 <= seed < EVALUATION_SEEDS.stop:
        raise ValueError(f"scene seeds lie in [0, {EVALUATION_SEEDS.stop}), got {seed}")
    for attempt in range(_ATTEMPTS):
        drawn = _draw(seed, Dice(seed * _ATTEMPTS + attempt))
        if len(drawn.counts()) >= MIN_CLASSES:
            return drawn
    raise AssertionError(f"seed {seed} gave no scene of {MIN_CLASSES} classes")


def unlabelled(number: int, image: Image.Image) -> Scene:
    """Wraps a picture that is no scene: nothing in it is labelled, all of it is void.

    Args:
        number: Takes the place of the seed, as the image's id.
        image: The picture.
    """
    return Scene(number, "", image, np.zeros(image.size[::-1], np.int32), (), ())


def _draw(seed: int, dice: Dice) -> Scene:
    place, (width, height) = dice.choice(PLACES), dice.choice(SIZES)
    backdrop = Backdrop(width, height, dice)
    zones = place.paint(backdrop)
    placed = arrange(zones, width, height, place.scale, dice)
    sprites = [_paint(item, dice) for item in placed]
    owner = _visible(placed, sprites, (height, width))
    color = backdrop.color
    for index, (item, sprite) in enumerate(zip(placed, sprites, strict=True)):
        if (owner == index).any():
            x0, y0, x1, y1 = item.box
            color[:, y0:y1, x0:x1] *= 1 - sprite.cover
            color[:, y0:y1, x0:x1] += sprite.color
    light = dice.uniform(0.9, 1.06)
    color = color * np.float32(light) + (backdrop.grain() - np.float32(0.5)) * 8 + np.float32(0.5)
    pixels = np.clip(color, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    panoptic, things, stuff = _label(placed, owner, backdrop.label)
    return Scene(seed, place.name, image, panoptic, things, stuff)


def _paint(item: Placed, dice: Dice) -> Sprite:
    pen = Pen(*item.size, flip=item.flip)
    item.shape.paint(pen, jittered(item.color, dice), dice)
    return pen.finish()


def _visible(placed: list[Placed], sprites: list[Sprite], shape: tuple[int, int]) -> np.ndarray:
    """Returns (H, W) int16: which object is seen at each pixel, -1 for none.

    Objects of which too little is seen are taken out, worst first, until all are seen well.
    """
    kept = list(range(len(placed)))
    while True:
        owner = np.full(shape, -1, np.int16)
        for index in kept:
            x0, y0, x1, y1 = placed[index].box
            owner[y0:y1, x0:x1][sprites[index].mask] = index
        shown = np.bincount(owner[owner >= 0], minlength=len(placed))
        shares = {i: shown[i] / max(1, int(sprites[i].mask.sum())) for i in kept}
        worst = min(kept, key=lambda i: shares[i], default=None)
        if worst is None or shares[worst] >= MIN_VISIBLE:
            return owner
        kept.remove(worst)


def _label(
    placed: list[Placed], owner: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, tuple[Thing, ...], tuple[Region, ...]]:
    """Numbers the segments and measures them."""
    seen = []
    for index, item in enumerate(placed):
        mask = owner == index
        if mask.any():
            seen.append((LABELS[item.shape.name], _box(mask), item, mask))
    panoptic = np.zeros(owner.shape, np.int32)
    things: list[Thing] = []
    stuff: list[Region] = []
    for label_id, box, item, mask in sorted(seen, key=lambda entry: entry[:2]):
        panoptic[mask] = len(things) + 1
        color, area = item.color, int(mask.sum())
        things.append(Thing(len(things) + 1, label_id, item.shape.name, color, box, area))
    for label_id in np.unique(label[owner < 0]):
        mask = (label == label_id) & (owner < 0)
        if mask.sum() < _VOID_BELOW * mask.size:
            continue
        number = len(things) + len(stuff) + 1
        panoptic[mask] = number
        name = COCO_PANOPTIC[int(label_id)].name
        stuff.append(Region(number, int(label_id), name, _box(mask), int(mask.sum())))
    return panoptic, tuple(things), tuple(stuff)


def _box(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
