"""The places a scene can show: their stuff, and where objects can be in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collavo.datasets.miniature import stuff
from collavo.datasets.miniature.backdrop import Backdrop


@dataclass(frozen=True)
class Zone:
    """A part of a place and what can be there.

    Args:
        names: The classes of things, by COCO name.
        top: The upper end, as a share of the image's height.
        bottom: The lower end.
        stands: True if objects stand with their foot in the zone (and look larger the nearer they
            are); False if they float or hang with their middle in it.
    """

    names: Sequence[str]
    top: float
    bottom: float
    stands: bool


@dataclass(frozen=True)
class Place:
    """A kind of scene.

    Args:
        name: What questions call it ("beach").
        paint: Paints the stuff and returns the zones, last the nearest.
        scale: How large things look here.
    """

    name: str
    paint: Callable[[Backdrop], list[Zone]]
    scale: float = 1.0


def _street(b: Backdrop) -> list[Zone]:
    horizon, kerb = b.dice.uniform(0.42, 0.5), b.dice.uniform(0.6, 0.66)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.building(b, horizon)
    stuff.pavement(b, b.below(horizon))
    stuff.road(b, b.below(kerb) & (b.y < 0.92), kerb, 0.92)
    walkers = ("person", "dog", "bicycle", "traffic light", "stop sign")
    return [
        Zone(("airplane", "bird"), 0.1, 0.28, False),
        Zone(walkers, horizon + 0.04, kerb, True),
        Zone(("car", "bus", "bicycle"), kerb + 0.08, 0.95, True),
    ]


def _country(b: Backdrop) -> list[Zone]:
    horizon, verge = b.dice.uniform(0.4, 0.48), b.dice.uniform(0.58, 0.64)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.mountain(b, horizon, snowy=False)
    stuff.dirt(b, b.below(horizon))
    stuff.road(b, b.below(verge) & (b.y < 0.9), verge, 0.9)
    return [
        Zone(("airplane", "kite"), 0.1, 0.3, False),
        Zone(("person", "stop sign", "traffic light"), horizon + 0.05, verge, True),
        Zone(("car", "bus", "bicycle", "person"), verge + 0.08, 0.96, True),
    ]


def _park(b: Backdrop) -> list[Zone]:
    horizon = b.dice.uniform(0.4, 0.5)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.grass(b, b.below(horizon))
    stuff.tree(b, horizon)
    visitors = ("person", "dog", "bicycle", "umbrella", "chair", "banana", "apple")
    return [
        Zone(("kite", "bird"), 0.12, 0.32, False),
        Zone(visitors, horizon + 0.1, 0.97, True),
    ]


def _garden(b: Backdrop) -> list[Zone]:
    horizon = b.dice.uniform(0.42, 0.5)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.tree(b, horizon)
    stuff.grass(b, b.below(horizon))
    stuff.fence(b, horizon)
    guests = ("cat", "dog", "potted plant", "chair", "apple", "umbrella", "bird", "cup")
    return [
        Zone(("bird", "kite"), 0.1, 0.28, False),
        Zone(guests, horizon + 0.12, 0.97, True),
    ]


def _beach(b: Backdrop) -> list[Zone]:
    horizon, shore = b.dice.uniform(0.32, 0.4), b.dice.uniform(0.54, 0.6)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.sea(b, b.below(horizon), horizon)
    stuff.sand(b, b.below(shore + 0.02 * stuff.wave(b.x * 2 + b.dice.uniform(0, 1))))
    return [
        Zone(("kite", "bird", "airplane"), 0.1, 0.24, False),
        Zone(("boat",), horizon + 0.06, shore - 0.02, True),
        Zone(("person", "umbrella", "dog", "chair", "bottle", "bird"), shore + 0.12, 0.97, True),
    ]


def _harbour(b: Backdrop) -> list[Zone]:
    horizon, quay = b.dice.uniform(0.34, 0.42), b.dice.uniform(0.7, 0.76)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.mountain(b, horizon, snowy=False)
    stuff.sea(b, b.below(horizon), horizon)
    stuff.pavement(b, b.below(quay))
    return [
        Zone(("bird", "kite"), 0.1, 0.26, False),
        Zone(("boat",), horizon + 0.1, quay - 0.03, True),
        Zone(("person", "bicycle", "cat", "bottle", "traffic light"), quay + 0.1, 0.97, True),
    ]


def _snowfield(b: Backdrop) -> list[Zone]:
    horizon = b.dice.uniform(0.4, 0.48)
    stuff.sky(b, b.y < horizon + 0 * b.x, horizon)
    stuff.mountain(b, horizon, snowy=True)
    stuff.snow(b, b.below(horizon))
    visitors = ("person", "dog", "car", "bus", "traffic light", "stop sign")
    return [
        Zone(("airplane", "bird"), 0.1, 0.28, False),
        Zone(visitors, horizon + 0.1, 0.96, True),
    ]


def _room(b: Backdrop) -> list[Zone]:
    skirting = b.dice.uniform(0.52, 0.6)
    (stuff.wall_brick if b.dice.chance(0.3) else stuff.wall)(b, b.y < skirting + 0 * b.x)
    stuff.floor_wood(b, b.below(skirting))
    if b.dice.chance(0.5):
        stuff.window(b, skirting)
    if b.dice.chance(0.6):
        stuff.rug(b, skirting)
    dwellers = ("chair", "cat", "dog", "potted plant", "person", "bottle", "cup")
    return [
        Zone(("clock",), 0.16, 0.26, False),
        Zone(dwellers, skirting + 0.1, 0.97, True),
    ]


def _kitchen(b: Backdrop) -> list[Zone]:
    edge = b.dice.uniform(0.5, 0.58)
    paint = b.dice.choice((stuff.wall_tile, stuff.wall_tile, stuff.wall_brick, stuff.wall))
    paint(b, b.y < edge + 0 * b.x)
    stuff.table(b, edge)
    return [
        Zone(("clock",), 0.16, 0.26, False),
        Zone(("bottle", "cup", "apple", "banana", "potted plant", "cat"), edge + 0.1, 0.97, True),
    ]


PLACES: tuple[Place, ...] = (
    Place("street", _street),
    Place("country road", _country),
    Place("park", _park),
    Place("garden", _garden),
    Place("beach", _beach),
    Place("harbour", _harbour),
    Place("snowfield", _snowfield),
    Place("living room", _room),
    Place("kitchen", _kitchen, 1.25),
)
