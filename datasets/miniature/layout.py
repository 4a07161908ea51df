"""Decides which objects a scene has, and where, how large and in which colour they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.places import Zone
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.shapes.shape import Shape

MAX_OBJECTS = 11
MIN_SIDE = 0.11
"""The shorter side of an object is at least this share of the image's height."""

CLASSES = ((3, 4, 5), (0.4, 0.4, 0.2))
"""How many classes of things a scene has, and how often."""

MAIN_COUNT = ((1, 2, 3, 4, 5, 6), (0.08, 0.2, 0.24, 0.2, 0.15, 0.13))
"""How many objects the scene's main class has, and how often."""

OTHER_COUNT = ((1, 2, 3), (0.66, 0.22, 0.12))
"""How many objects each other class has, and how often."""

OVERLAP = ((0.03, 0.2, 0.55), (0.6, 0.25, 0.15))
"""How much of the smaller of two boxes the other may cover, and how often."""

_TRIES = 40


@dataclass(frozen=True)
class Placed:
    """An object before it is painted.

    Args:
        shape: Its class.
        color: The name of its colour.
        box: Absolute pixels, XYXY, whole numbers.
        depth: Greater is nearer; nearer objects are painted later.
        flip: Whether it is painted mirrored.
    """

    shape: Shape
    color: str
    box: tuple[int, int, int, int]
    depth: float
    flip: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def arrange(
    zones: Sequence[Zone], width: int, height: int, scale: float, dice: Dice
) -> list[Placed]:
    """Draws the objects of a scene, farthest first.

    Args:
        zones: Where objects can be.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        scale: How large things look in this place.
        dice: Where the choices are drawn from.
    """
    homes: dict[str, list[Zone]] = {}
    for zone in zones:
        for name in zone.names:
            homes.setdefault(name, []).append(zone)
    placed: list[Placed] = []
    for rank, name in enumerate(dice.sample(list(homes), dice.weighted(*CLASSES))):
        count = dice.weighted(*(MAIN_COUNT if rank == 0 else OTHER_COUNT))
        colors = _colors(SHAPES[name], count, dice)
        look = scale * (0.86 if count > 3 else 1.0) * dice.uniform(0.9, 1.15)
        for color in colors[: MAX_OBJECTS - len(placed)]:
            for _ in range(_TRIES):
                zone = dice.choice(homes[name])
                candidate = _propose(SHAPES[name], color, zone, width, height, look, dice)
                if candidate and _fits(candidate, placed, dice.weighted(*OVERLAP)):
                    placed.append(candidate)
                    break
    return sorted(placed, key=lambda item: item.depth)


def _colors(shape: Shape, count: int, dice: Dice) -> list[str]:
    """Draws one colour an object; in half of the scenes they are all alike."""
    if dice.chance(0.5):
        return [dice.choice(shape.colors)] * count
    return [dice.choice(shape.colors) for _ in range(count)]


def _propose(
    shape: Shape, color: str, zone: Zone, width: int, height: int, look: float, dice: Dice
) -> Placed | None:
    """Draws one position in `zone`; None where the object would not fit into the image."""
    level = dice.uniform(zone.top, zone.bottom)
    near = 0.78 + 0.75 * max(0.0, level - 0.45) if zone.stands else 0.95
    share = shape.height * look * near * dice.uniform(0.92, 1.1)
    share = max(share, MIN_SIDE, MIN_SIDE / shape.aspect)
    h = round(share * height)
    w = round(share * height * shape.aspect)
    room = width - w - 4
    top = round(level * height) - (h if zone.stands else h // 2)
    flip = dice.chance(0.5)
    if room <= 0 or h > 0.7 * height:
        return None
    left = 2 + dice.integer(0, room)
    top = max(2, top) if not zone.stands else top
    if top < 2 or top + h > height - 2:
        return None
    depth = level if zone.stands else level - 1.0
    return Placed(shape, color, (left, top, left + w, top + h), depth, flip)


def _fits(candidate: Placed, placed: Sequence[Placed], limit: float) -> bool:
    """Says whether no box covers more than `limit` of a smaller one (less within a class)."""
    for other in placed:
        allowed = min(limit, 0.12) if other.shape is candidate.shape else limit
        if overlap(candidate.box, other.box) > allowed:
            return False
    return True


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """The share of the smaller of two XYXY boxes that the other covers."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return w * h / smaller
