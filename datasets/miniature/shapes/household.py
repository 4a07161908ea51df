"""Things people carry, eat and sit on."""

from __future__ import annotations

import math

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import VIVID, Color, darker, lighter
from collavo.datasets.miniature.raster import Pen
from collavo.datasets.miniature.shapes.shape import Shape

WOOD: Color = (126, 84, 48)
LEAF: Color = (50, 132, 58)
INK: Color = (34, 34, 38)
FULL = 2 * math.pi


def paint_umbrella(pen: Pen, color: Color, dice: Dice) -> None:
    """An open canopy of alternating panels over a hooked stick."""
    stick = [(0.5, 0.02), (0.5, 0.9), (0.56, 0.97), (0.64, 0.95), (0.66, 0.88)]
    pen.line(stick, 0.05, (84, 66, 50))
    pen.ellipse(0.5, 0.5, 0.5, 0.46, color, span=(0.0, 0.5))
    pen.ellipse(0.5, 0.5, 0.3, 0.46, lighter(color, 0.45), span=(0.0, 0.5))
    pen.ellipse(0.5, 0.5, 0.12, 0.46, color, span=(0.0, 0.5))
    for x in (0.1, 0.3, 0.5, 0.7, 0.9):
        pen.ellipse(x, 0.5, 0.1, 0.05, darker(color, 0.3), span=(0.0, 0.5))


def paint_kite(pen: Pen, color: Color, dice: Dice) -> None:
    """A four-part diamond with a tail of bows."""
    pen.line([(0.5, 0.6), (0.4, 0.74), (0.56, 0.86), (0.46, 0.98)], 0.022, INK)
    for x, y in ((0.42, 0.73), (0.54, 0.85)):
        pen.polygon([(x, y), (x - 0.14, y - 0.04), (x - 0.14, y + 0.04)], lighter(color, 0.3))
        pen.polygon([(x, y), (x + 0.14, y - 0.04), (x + 0.14, y + 0.04)], lighter(color, 0.3))
    middle = (0.5, 0.26)
    corners = [(0.5, 0.0), (1.0, 0.26), (0.5, 0.66), (0.0, 0.26)]
    shades = (lighter(color, 0.4), color, lighter(color, 0.4), color)
    for start, end, shade in zip(corners, corners[1:] + corners[:1], shades, strict=True):
        pen.polygon([middle, start, end], shade)


def paint_bottle(pen: Pen, color: Color, dice: Dice) -> None:
    """A body, a slim neck, a cap and a pale label."""
    pen.rect(0.36, 0.0, 0.64, 0.08, darker(color, 0.55))
    pen.rect(0.38, 0.07, 0.62, 0.3, color)
    pen.polygon([(0.38, 0.24), (0.62, 0.24), (0.98, 0.42), (0.02, 0.42)], color)
    pen.rect(0.02, 0.41, 0.98, 1.0, color)
    pen.rect(0.02, 0.54, 0.98, 0.8, (250, 244, 226) if sum(color) < 690 else (90, 140, 200))
    pen.rect(0.2, 0.62, 0.8, 0.67, darker(color, 0.3))
    pen.rect(0.12, 0.44, 0.24, 0.53, lighter(color, 0.6))


def paint_cup(pen: Pen, color: Color, dice: Dice) -> None:
    """A mug with a ring for a handle."""
    pen.ellipse(0.78, 0.52, 0.21, 0.27, color)
    pen.ellipse(0.78, 0.52, 0.11, 0.15, darker(color, 0.6))
    pen.polygon([(0.03, 0.12), (0.77, 0.12), (0.7, 0.98), (0.1, 0.98)], color)
    pen.polygon([(0.04, 0.3), (0.755, 0.3), (0.74, 0.42), (0.05, 0.42)], lighter(color, 0.5))
    pen.ellipse(0.4, 0.13, 0.37, 0.12, lighter(color, 0.3))
    pen.ellipse(0.4, 0.14, 0.3, 0.085, (92, 58, 36))


def paint_banana(pen: Pen, color: Color, dice: Dice) -> None:
    """A crescent with dark tips."""
    steps = [math.pi * k / 14 for k in range(15)]
    outer = [(0.5 - 0.49 * math.cos(a), 0.1 + 0.88 * math.sin(a)) for a in steps]
    inner = [(0.5 - 0.42 * math.cos(a), 0.1 + 0.34 * math.sin(a)) for a in steps]
    middle = [(0.5 - 0.46 * math.cos(a), 0.1 + 0.56 * math.sin(a)) for a in steps]
    pen.polygon(outer + inner[::-1], color)
    pen.polygon(middle[2:-2] + inner[2:-2][::-1], lighter(color, 0.35))
    pen.polygon([(0.01, 0.12), (0.04, 0.0), (0.11, 0.02), (0.1, 0.16)], (92, 70, 30))
    pen.polygon([(0.99, 0.12), (0.94, 0.04), (0.9, 0.08), (0.91, 0.16)], (92, 70, 30))


def paint_apple(pen: Pen, color: Color, dice: Dice) -> None:
    """Two lobes, a stem and a leaf."""
    pen.line([(0.5, 0.26), (0.54, 0.04)], 0.08, WOOD)
    pen.polygon([(0.55, 0.16), (0.72, 0.02), (0.9, 0.06), (0.74, 0.2)], LEAF)
    for x in (0.34, 0.66):
        pen.ellipse(x, 0.56, 0.34, 0.38, color)
    pen.ellipse(0.5, 0.68, 0.34, 0.31, color)
    pen.ellipse(0.26, 0.46, 0.08, 0.13, lighter(color, 0.6))


def paint_chair(pen: Pen, color: Color, dice: Dice) -> None:
    """A high slatted back, a seat and four legs."""
    for x in (0.24, 0.9):
        pen.rect(x, 0.5, x + 0.09, 0.9, darker(color, 0.45))
    pen.rect(0.02, 0.0, 0.16, 1.0, color)
    pen.rect(0.02, 0.03, 0.84, 0.14, color)
    pen.rect(0.02, 0.22, 0.8, 0.33, color)
    pen.rect(0.7, 0.0, 0.84, 0.5, color)
    pen.polygon([(0.02, 0.46), (0.8, 0.46), (1.0, 0.58), (0.1, 0.58)], lighter(color, 0.3))
    pen.polygon([(0.02, 0.47), (0.1, 0.58), (1.0, 0.58), (1.0, 0.65), (0.02, 0.65)], color)
    pen.rect(0.76, 0.6, 0.9, 1.0, color)


def paint_potted_plant(pen: Pen, color: Color, dice: Dice) -> None:
    """Leaves fanning out of a tapering pot."""
    for x, y in ((0.06, 0.3), (0.26, 0.08), (0.5, 0.0), (0.74, 0.08), (0.94, 0.3)):
        shade = darker(LEAF, 0.25) if x in (0.26, 0.74) else lighter(LEAF, 0.15)
        bend = 0.1 * (0.5 - x)
        left, right = (x - 0.09 + bend, y + 0.16), (x + 0.11 + bend, y + 0.2)
        pen.polygon([(0.42 + x * 0.1, 0.66), left, (x, y), right, (0.54 + x * 0.02, 0.66)], shade)
    pen.ellipse(0.5, 0.52, 0.26, 0.16, LEAF)
    pen.polygon([(0.16, 0.66), (0.84, 0.66), (0.72, 1.0), (0.28, 1.0)], color)
    pen.rect(0.12, 0.62, 0.88, 0.72, lighter(color, 0.2))


def paint_clock(pen: Pen, color: Color, dice: Dice) -> None:
    """A pale face in a broad coloured rim; any time of day."""
    pen.ellipse(0.5, 0.5, 0.5, 0.5, color)
    pen.ellipse(0.5, 0.5, 0.36, 0.36, (250, 248, 240))
    for hour in range(12):
        x, y = math.sin(FULL * hour / 12), -math.cos(FULL * hour / 12)
        pen.ellipse(0.5 + 0.31 * x, 0.5 + 0.31 * y, 0.022, 0.022, INK)
    minutes = dice.integer(0, 143) * 5
    for turn, length, width in ((minutes / 720, 0.18, 0.06), (minutes / 60, 0.27, 0.04)):
        x, y = math.sin(FULL * turn), -math.cos(FULL * turn)
        pen.line([(0.5, 0.5), (0.5 + length * x, 0.5 + length * y)], width, INK)


HOUSEHOLD = (
    Shape("umbrella", "umbrellas", 1.0, 0.3, paint_umbrella, VIVID[:6]),
    Shape("kite", "kites", 0.66, 0.28, paint_kite, VIVID[:5] + ("orange",)),
    Shape("bottle", "bottles", 0.4, 0.26, paint_bottle, ("green", "blue", "red", "brown", "white")),
    Shape("cup", "cups", 1.15, 0.16, paint_cup, VIVID),
    Shape("banana", "bananas", 1.7, 0.13, paint_banana, ("yellow", "green")),
    Shape("apple", "apples", 0.98, 0.14, paint_apple, ("red", "green", "yellow")),
    Shape("chair", "chairs", 0.62, 0.3, paint_chair, ("brown", "red", "blue", "white", "black")),
    Shape(
        "potted plant",
        "potted plants",
        0.7,
        0.3,
        paint_potted_plant,
        ("brown", "orange", "white", "blue"),
        named=False,
    ),
    Shape("clock", "clocks", 1.0, 0.19, paint_clock, ("red", "blue", "black", "green", "brown")),
)
