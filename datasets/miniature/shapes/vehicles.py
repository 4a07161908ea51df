"""Vehicles and what stands along the road."""

from __future__ import annotations

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import COLORS, VIVID, Color, darker, lighter
from collavo.datasets.miniature.raster import Pen
from collavo.datasets.miniature.shapes.shape import Shape

TYRE: Color = (30, 30, 34)
METAL: Color = (176, 180, 186)
GLASS: Color = (176, 214, 236)
LAMP: Color = (255, 236, 150)
POLE: Color = (110, 114, 120)


def _wheel(pen: Pen, x: float, y: float, rx: float, ry: float, hub: Color = METAL) -> None:
    pen.ellipse(x, y, rx, ry, TYRE)
    pen.ellipse(x, y, rx * 0.5, ry * 0.5, hub)


def paint_bicycle(pen: Pen, color: Color, dice: Dice) -> None:
    """Two large pale wheels under a coloured frame."""
    for x in (0.2, 0.8):
        pen.ellipse(x, 0.68, 0.2, 0.32, TYRE)
        pen.ellipse(x, 0.68, 0.15, 0.24, (214, 218, 222))
        pen.ellipse(x, 0.68, 0.03, 0.05, TYRE)
    frame = [(0.2, 0.68), (0.36, 0.26), (0.7, 0.26), (0.48, 0.7), (0.2, 0.68)]
    pen.line(frame, 0.1, color)
    pen.line([(0.36, 0.26), (0.48, 0.7)], 0.1, color)
    pen.line([(0.8, 0.68), (0.68, 0.12), (0.8, 0.06)], 0.09, color)
    pen.line([(0.28, 0.16), (0.44, 0.16)], 0.1, TYRE)
    pen.line([(0.36, 0.18), (0.36, 0.28)], 0.06, TYRE)


def paint_car(pen: Pen, color: Color, dice: Dice) -> None:
    """A low body with a cabin, two windows and two wheels."""
    pen.polygon([(0.2, 0.48), (0.32, 0.06), (0.68, 0.06), (0.84, 0.48)], color)
    pen.polygon([(0.28, 0.44), (0.36, 0.14), (0.49, 0.14), (0.49, 0.44)], GLASS)
    pen.polygon([(0.53, 0.44), (0.53, 0.14), (0.65, 0.14), (0.76, 0.44)], GLASS)
    pen.polygon(
        [(0.02, 0.56), (0.1, 0.44), (0.88, 0.44), (0.98, 0.54), (0.99, 0.8), (0.01, 0.8)], color
    )
    pen.rect(0.01, 0.7, 0.99, 0.8, darker(color, 0.25))
    pen.rect(0.94, 0.54, 0.99, 0.63, LAMP)
    pen.rect(0.01, 0.56, 0.05, 0.65, (190, 30, 30))
    pen.rect(0.52, 0.56, 0.58, 0.6, darker(color, 0.5))
    for x in (0.23, 0.77):
        _wheel(pen, x, 0.8, 0.1, 0.2)


def paint_bus(pen: Pen, color: Color, dice: Dice) -> None:
    """A long box with a row of windows and a door."""
    pen.rect(0.01, 0.04, 0.99, 0.86, color)
    pen.rect(0.01, 0.04, 0.99, 0.1, lighter(color))
    for left in (0.05, 0.22, 0.39, 0.56):
        pen.rect(left, 0.18, left + 0.14, 0.46, GLASS)
    pen.rect(0.74, 0.18, 0.84, 0.8, lighter(GLASS))
    pen.rect(0.785, 0.18, 0.795, 0.8, darker(color))
    pen.rect(0.88, 0.18, 0.99, 0.5, GLASS)
    pen.rect(0.01, 0.58, 0.72, 0.64, (250, 250, 250) if sum(color) < 600 else (40, 80, 160))
    pen.rect(0.93, 0.66, 0.99, 0.74, LAMP)
    for x in (0.2, 0.62):
        _wheel(pen, x, 0.86, 0.075, 0.14)


def paint_airplane(pen: Pen, color: Color, dice: Dice) -> None:
    """A long body with swept wings, a tail fin and a row of windows."""
    pen.polygon([(0.02, 0.1), (0.12, 0.1), (0.26, 0.44), (0.08, 0.46)], color)
    pen.polygon([(0.42, 0.44), (0.34, 0.02), (0.44, 0.02), (0.64, 0.44)], darker(color, 0.35))
    pen.ellipse(0.52, 0.5, 0.46, 0.16, color)
    pen.polygon([(0.08, 0.5), (0.0, 0.62), (0.1, 0.62), (0.24, 0.52)], darker(color, 0.2))
    pen.polygon([(0.38, 0.54), (0.24, 0.98), (0.36, 0.98), (0.62, 0.54)], darker(color, 0.2))
    for x in (0.32, 0.42, 0.52, 0.62, 0.72):
        pen.ellipse(x, 0.46, 0.018, 0.04, (60, 90, 130))
    pen.polygon([(0.84, 0.4), (0.9, 0.4), (0.95, 0.48), (0.84, 0.48)], GLASS)


def paint_boat(pen: Pen, color: Color, dice: Dice) -> None:
    """A hull in the boat's colour under two pale sails."""
    sail = (250, 246, 232)
    pen.polygon([(0.5, 0.02), (0.5, 0.66), (0.95, 0.66)], sail)
    pen.polygon([(0.44, 0.12), (0.44, 0.66), (0.1, 0.66)], darker(sail, 0.12))
    pen.rect(0.45, 0.0, 0.5, 0.74, (104, 70, 44))
    pen.polygon([(0.0, 0.7), (1.0, 0.7), (0.84, 1.0), (0.16, 1.0)], color)
    pen.polygon([(0.02, 0.74), (0.98, 0.74), (0.95, 0.8), (0.05, 0.8)], lighter(color, 0.6))


def paint_traffic_light(pen: Pen, color: Color, dice: Dice) -> None:
    """A dark box with three lamps on a pole; one lamp is lit."""
    pen.rect(0.42, 0.5, 0.58, 1.0, POLE)
    pen.rect(0.3, 0.96, 0.7, 1.0, POLE)
    pen.rect(0.1, 0.0, 0.9, 0.6, (34, 36, 40))
    lit = dice.integer(0, 2)
    for place, name in enumerate(("red", "yellow", "green")):
        lamp = COLORS[name] if place == lit else darker(COLORS[name], 0.65)
        pen.ellipse(0.5, 0.11 + 0.19 * place, 0.28, 0.084, lamp)


def paint_stop_sign(pen: Pen, color: Color, dice: Dice) -> None:
    """A red octagon with a white rim and a white bar for its word."""
    pen.rect(0.46, 0.4, 0.54, 1.0, POLE)
    for size, paint in ((0.5, (246, 246, 246)), (0.45, color)):
        near = size * 0.42
        half = size * 0.5
        corners = [(near, size), (size, near), (size, -near), (near, -size)]
        ring = [*corners, *((-x, -y) for x, y in corners)]
        pen.polygon([(0.5 + x, 0.27 + y * half / size * 1.06) for x, y in ring], paint)
    for left in (0.17, 0.34, 0.51, 0.68):
        pen.rect(left, 0.2, left + 0.14, 0.34, (246, 246, 246))
        pen.rect(left + 0.05, 0.24, left + 0.09, 0.3, color)


VEHICLES = (
    Shape("bicycle", "bicycles", 1.6, 0.25, paint_bicycle, ("red", "blue", "green", "purple")),
    Shape("car", "cars", 2.05, 0.2, paint_car, VIVID),
    Shape("airplane", "airplanes", 2.1, 0.19, paint_airplane, ("white", "red", "blue", "yellow")),
    Shape("bus", "buses", 1.95, 0.3, paint_bus, ("red", "yellow", "green", "blue", "white")),
    Shape("boat", "boats", 1.05, 0.3, paint_boat, VIVID),
    Shape("traffic light", "traffic lights", 0.36, 0.4, paint_traffic_light, ("black",), False),
    Shape("stop sign", "stop signs", 0.53, 0.36, paint_stop_sign, ("red",), False),
)
