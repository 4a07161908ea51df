"""People and animals."""

from __future__ import annotations

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import Color, darker, lighter
from collavo.datasets.miniature.raster import Pen
from collavo.datasets.miniature.shapes.shape import Shape

SKIN: tuple[Color, ...] = ((246, 208, 176), (222, 172, 130), (170, 116, 76), (104, 68, 44))
HAIR: tuple[Color, ...] = ((38, 28, 24), (96, 60, 30), (206, 160, 70), (120, 118, 116))
TROUSERS: tuple[Color, ...] = ((44, 56, 92), (60, 60, 64), (104, 86, 60))
EYE: Color = (20, 20, 20)
BEAK: Color = (242, 150, 30)


def paint_person(pen: Pen, color: Color, dice: Dice) -> None:
    """A standing figure; the colour is that of the clothes."""
    skin, hair, trousers = dice.choice(SKIN), dice.choice(HAIR), dice.choice(TROUSERS)
    raised = dice.chance(0.3)
    pen.polygon([(0.3, 0.54), (0.49, 0.54), (0.47, 0.97), (0.3, 0.97)], trousers)
    pen.polygon([(0.51, 0.54), (0.7, 0.54), (0.7, 0.97), (0.53, 0.97)], trousers)
    pen.rect(0.24, 0.955, 0.47, 1.0, (36, 32, 30))
    pen.rect(0.53, 0.955, 0.76, 1.0, (36, 32, 30))
    pen.line([(0.24, 0.29), (0.13, 0.52)], 0.07, darker(color, 0.15))
    pen.ellipse(0.12, 0.56, 0.08, 0.034, skin)
    hand = (0.88, 0.08) if raised else (0.87, 0.52)
    pen.line([(0.76, 0.29), hand], 0.07, darker(color, 0.15))
    pen.ellipse(hand[0], hand[1] + (-0.03 if raised else 0.04), 0.08, 0.034, skin)
    pen.polygon([(0.22, 0.25), (0.78, 0.25), (0.72, 0.6), (0.28, 0.6)], color)
    pen.rect(0.43, 0.18, 0.57, 0.26, skin)
    pen.ellipse(0.5, 0.115, 0.21, 0.09, skin)
    pen.ellipse(0.5, 0.1, 0.23, 0.1, hair, span=(0.0, 0.085))
    if dice.chance(0.4):
        pen.rect(0.27, 0.08, 0.34, 0.21, hair)
        pen.rect(0.66, 0.08, 0.73, 0.21, hair)
    for x in (0.42, 0.58):
        pen.ellipse(x, 0.12, 0.03, 0.011, EYE)


def paint_bird(pen: Pen, color: Color, dice: Dice) -> None:
    """A round body with a fanned tail, a wing and an orange beak."""
    pen.polygon([(0.26, 0.5), (0.0, 0.38), (0.02, 0.72), (0.28, 0.66)], darker(color, 0.3))
    for x in (0.44, 0.56):
        pen.line([(x, 0.8), (x, 0.95), (x + 0.06, 0.96)], 0.05, BEAK)
    pen.polygon([(0.86, 0.2), (1.0, 0.3), (0.84, 0.36)], BEAK)
    pen.ellipse(0.48, 0.58, 0.31, 0.29, color)
    pen.ellipse(0.56, 0.7, 0.2, 0.17, lighter(color, 0.55))
    pen.ellipse(0.73, 0.26, 0.17, 0.22, color)
    pen.polygon([(0.2, 0.42), (0.5, 0.4), (0.58, 0.56), (0.26, 0.78)], darker(color, 0.35))
    pen.ellipse(0.77, 0.22, 0.04, 0.05, (250, 250, 250))
    pen.ellipse(0.78, 0.22, 0.024, 0.03, EYE)


def paint_cat(pen: Pen, color: Color, dice: Dice) -> None:
    """Sits facing us: pointed ears, whiskers, a curled tail."""
    tail = [(0.7, 0.9), (0.9, 0.84), (0.95, 0.66), (0.88, 0.52)]
    pen.line(tail, 0.09, darker(color, 0.2))
    pen.ellipse(0.46, 0.78, 0.3, 0.3, color)
    pen.ellipse(0.46, 0.82, 0.15, 0.18, lighter(color, 0.5))
    for x in (0.33, 0.59):
        pen.ellipse(x, 0.95, 0.1, 0.055, lighter(color, 0.25))
    for outer, top, inner in ((0.15, 0.16, 0.4), (0.77, 0.76, 0.52)):
        pen.polygon([(outer, 0.3), (top, 0.0), (inner, 0.14)], color)
    pen.polygon([(0.2, 0.2), (0.2, 0.07), (0.31, 0.14)], (232, 150, 150))
    pen.polygon([(0.72, 0.2), (0.72, 0.07), (0.61, 0.14)], (232, 150, 150))
    pen.ellipse(0.46, 0.33, 0.33, 0.24, color)
    for x in (0.34, 0.58):
        pen.ellipse(x, 0.3, 0.065, 0.06, (190, 220, 90))
        pen.ellipse(x, 0.3, 0.025, 0.055, EYE)
    pen.polygon([(0.42, 0.39), (0.5, 0.39), (0.46, 0.44)], (232, 120, 130))
    whisker = lighter(color, 0.7) if sum(color) < 330 else darker(color, 0.6)
    for x in (0.08, 0.84):
        pen.line([(0.46 + (x - 0.46) * 0.5, 0.42), (x, 0.38)], 0.018, whisker)
        pen.line([(0.46 + (x - 0.46) * 0.5, 0.45), (x, 0.48)], 0.018, whisker)


def paint_dog(pen: Pen, color: Color, dice: Dice) -> None:
    """Stands in profile: four legs, a snout, a hanging ear, a raised tail."""
    pen.line([(0.16, 0.42), (0.06, 0.24), (0.05, 0.1)], 0.1, color)
    for x in (0.2, 0.62):
        pen.rect(x, 0.6, x + 0.085, 0.97, darker(color, 0.3))
    for x in (0.12, 0.54):
        pen.rect(x, 0.6, x + 0.1, 1.0, color)
    pen.ellipse(0.22, 0.54, 0.14, 0.2, color)
    pen.ellipse(0.58, 0.53, 0.16, 0.22, color)
    pen.rect(0.2, 0.35, 0.6, 0.7, color)
    pen.polygon([(0.52, 0.42), (0.66, 0.12), (0.82, 0.34), (0.7, 0.6)], color)
    pen.ellipse(0.75, 0.23, 0.14, 0.18, color)
    pen.polygon([(0.78, 0.18), (0.99, 0.24), (0.99, 0.36), (0.78, 0.4)], lighter(color, 0.2))
    pen.ellipse(0.965, 0.26, 0.035, 0.05, EYE)
    pen.ellipse(0.79, 0.18, 0.024, 0.036, EYE)
    pen.ellipse(0.66, 0.25, 0.06, 0.2, darker(color, 0.45))
    pen.line([(0.6, 0.44), (0.73, 0.5)], 0.06, (200, 40, 50))


CREATURES = (
    Shape(
        "person",
        "people",
        0.44,
        0.4,
        paint_person,
        ("red", "yellow", "green", "blue", "purple", "pink", "white"),
        named=False,
    ),
    Shape("bird", "birds", 1.25, 0.15, paint_bird, ("red", "blue", "yellow", "white", "black")),
    Shape("cat", "cats", 0.92, 0.22, paint_cat, ("orange", "black", "white", "gray")),
    Shape("dog", "dogs", 1.3, 0.22, paint_dog, ("brown", "black", "white", "gray")),
)
