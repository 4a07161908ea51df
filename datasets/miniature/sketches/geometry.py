"""Figures of school mathematics: shapes with their measures, functions, puzzles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, page, stamp, write
from collavo.datasets.miniature.palette import COLORS, lighter

_PALE = lighter(COLORS["blue"], 0.75)


def right_triangle(base: str, height: str, slope: str) -> Image.Image:
    """A right triangle with what stands at its sides: below, on the left, and at the slope."""
    image = page()
    draw = ImageDraw.Draw(image)
    draw.polygon([(90, 60), (90, 210), (290, 210)], fill=_PALE, outline=INK, width=3)
    draw.rectangle((90, 192, 108, 210), outline=INK, width=2)
    write(image, base, 234, 22, x=190)
    write(image, height, 135, 22, x=56, room=80)
    write(image, slope, 112, 22, x=220, room=120)
    return image


def triangle(names: str, first: str, second: str, third: str) -> Image.Image:
    """A triangle with three named corners (left, right, top) and what stands at each angle."""
    image = page()
    ImageDraw.Draw(image).polygon(
        [(60, 210), (310, 210), (150, 50)], fill=_PALE, outline=INK, width=3
    )
    for name, x, y in zip(names, (42, 328, 150), (224, 224, 32), strict=True):
        write(image, name, y, 22, x=x, room=40)
    write(image, first, 190, 18, x=106, room=60)
    write(image, second, 194, 18, x=248, room=60)
    write(image, third, 92, 18, x=154, room=60)
    return image


def rectangle(width: str, height: str) -> Image.Image:
    """A rectangle with two of its sides' lengths."""
    image = page()
    ImageDraw.Draw(image).rectangle((80, 70, 290, 200), fill=_PALE, outline=INK, width=3)
    write(image, width, 224, 22, x=185)
    write(image, height, 135, 22, x=46, room=70)
    return image


def circle(radius: str) -> Image.Image:
    """A circle with its radius."""
    image = page()
    draw = ImageDraw.Draw(image)
    draw.ellipse((90, 45, 270, 225), fill=_PALE, outline=INK, width=3)
    draw.line((180, 135, 270, 135), fill=INK, width=3)
    draw.ellipse((176, 131, 184, 139), fill=INK)
    write(image, radius, 118, 20, x=225, room=80)
    return image


def line_graph(slope: int, start: int) -> Image.Image:
    """The graph of y = slope x + start on a grid from -5 to 5."""
    image = page((255, 255, 255), (300, 300))
    draw, unit = ImageDraw.Draw(image), 25
    for k in range(-5, 6):
        place = 150 + unit * k
        draw.line((place, 25, place, 275), fill=(216, 218, 224))
        draw.line((25, place, 275, place), fill=(216, 218, 224))
        if k:
            write(image, str(k), 160, 10, x=place, room=24)
            write(image, str(-k), place, 10, x=140, room=24)
    draw.line((150, 25, 150, 275), fill=INK, width=2)
    draw.line((25, 150, 275, 150), fill=INK, width=2)
    ends: list[tuple[float, float]] = [(x, slope * x + start) for x in (-5, 5)]
    if slope:  # cut at the upper and lower edge
        ends = [(_inside((y - start) / slope), y) for y in (-5, 5)]
        ends = [(x, slope * x + start) for x, _ in ends]
    pixels = [(150 + unit * x, 150 - unit * y) for x, y in ends]
    draw.line(pixels, fill=COLORS["red"], width=4)
    return image


def _inside(x: float) -> float:
    return max(-5.0, min(5.0, x))


def objects(groups: Sequence[tuple[str, str, int]]) -> Image.Image:
    """Rows of objects: class, colour and number (up to six) of each row; up to three rows."""
    image = page((236, 240, 236))
    for row, (name, color, count) in enumerate(groups):
        y = 50 + 85 * row
        for place in range(count):
            stamp(image, name, color, 40 + 56 * place, y, 44)
    return image


def series(items: Sequence[str]) -> Image.Image:
    """Boxes in a row with what they hold, the last a question mark."""
    image = page()
    draw = ImageDraw.Draw(image)
    width = 320 // (len(items) + 1)
    for place, text in enumerate((*items, "?")):
        x = 20 + width * place
        draw.rectangle((x, 105, x + width - 8, 165), fill=(255, 255, 255), outline=INK, width=3)
        write(image, text, 135, 26, x=x + (width - 8) // 2, room=width - 14)
    return image


def clock_face(hour: int, minute: int) -> Image.Image:
    """A clock with twelve numbers and two hands."""
    image = page()
    draw = ImageDraw.Draw(image)
    draw.ellipse((75, 30, 285, 240), fill=(255, 255, 255), outline=INK, width=5)
    for k in range(1, 13):
        angle = math.radians(30 * k - 90)
        x, y = 180 + 86 * math.cos(angle), 135 + 86 * math.sin(angle)
        write(image, str(k), round(y), 18, x=round(x), room=40)
    for turn, length, width in ((hour / 12 + minute / 720, 46, 7), (minute / 60, 70, 4)):
        angle = 2 * math.pi * turn - math.pi / 2
        end = (180 + length * math.cos(angle), 135 + length * math.sin(angle))
        draw.line((180, 135, *end), fill=INK, width=width)
    draw.ellipse((174, 129, 186, 141), fill=COLORS["red"])
    return image


def formula(text: str) -> Image.Image:
    """A formula as written by hand; `^2` stands high and `_1` low, one character each."""
    image = page((250, 250, 244), (360, 140))
    x, place = 30, 0
    while place < len(text):
        raised, character = 0, text[place]
        if character in "^_":
            raised, place = (-18 if character == "^" else 14), place + 1
            character = text[place]
        size = 24 if raised else 42
        wobble = (place * 7) % 5 - 2
        write(image, character, 70 + raised + wobble, size, (34, 44, 120), x=x, room=60)
        x += 16 if raised else 27
        place += 1
    return image
