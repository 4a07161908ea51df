"""Diagrams as in school books, with names or, in their place, with letters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, page, write
from collavo.datasets.miniature.palette import COLORS, lighter

SIZE = (400, 300)
_HUES = ("green", "yellow", "orange", "blue", "purple", "pink")
_MARGIN = 16


def chain(names: Sequence[str]) -> Image.Image:
    """A food chain: boxes in a row with arrows from what is eaten to what eats it."""
    image = page((255, 255, 255), SIZE)
    write(image, "Food chain", 30, 20)
    width = (SIZE[0] - 2 * _MARGIN) // len(names)
    for place, name in enumerate(names):
        left = _MARGIN + width * place
        _label(image, name, left + width // 2 - 10, 150, width - 26, place)
        if place + 1 < len(names):
            _arrow(image, (left + width - 21, 150), (left + width + 1, 150))
    return image


def cycle(title: str, stages: Sequence[str]) -> Image.Image:
    """A cycle: stages on a circle, clockwise from the top, with arrows to the next."""
    image = page((255, 255, 255), SIZE)
    write(image, title, 20, 18)
    for place, stage in enumerate(stages):
        x, y = _on_circle(place, len(stages))
        _label(image, stage, round(x), round(y), 92, place)
        start = _on_circle(place + 0.36, len(stages))
        _arrow(image, start, _on_circle(place + 0.64, len(stages)))
    return image


def _on_circle(place: float, count: int) -> tuple[float, float]:
    angle = 2 * math.pi * place / count - math.pi / 2
    return 200 + 128 * math.cos(angle), 164 + 100 * math.sin(angle)


def layers(title: str, names: Sequence[str]) -> Image.Image:
    """Layers on top of one another, the uppermost first."""
    image = page((255, 255, 255), SIZE)
    write(image, title, 24, 18)
    height = 232 // len(names)
    for place, name in enumerate(names):
        top = 50 + height * place
        box = (60, top, 340, top + height)
        ImageDraw.Draw(image).rectangle(box, lighter(COLORS[_HUES[place % 6]], 0.3), INK, 2)
        write(image, name, top + height // 2, 20, room=260)
    return image


def plant(root: str, stem: str, leaf: str, flower: str) -> Image.Image:
    """A flowering plant with names at its parts."""
    image = page((255, 255, 255), SIZE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 214, 400, 300), fill=(186, 146, 104))
    draw.line((150, 80, 150, 220), fill=(60, 140, 60), width=8)
    for dx in (-34, 0, 34):
        draw.line((150, 216, 150 + dx, 272), fill=(104, 66, 36), width=5)
    draw.ellipse((152, 132, 214, 162), fill=(70, 166, 70), outline=INK)
    for k in range(6):
        x, y = 150 + 24 * math.cos(k * math.pi / 3), 66 + 24 * math.sin(k * math.pi / 3)
        draw.ellipse((x - 14, y - 14, x + 14, y + 14), fill=COLORS["pink"], outline=INK)
    draw.ellipse((138, 54, 162, 78), fill=COLORS["yellow"], outline=INK)
    for name, y, end in ((flower, 56, 186), (leaf, 146, 214), (stem, 190, 154), (root, 250, 176)):
        draw.line((end, y, 282, y), fill=INK, width=2)
        write(image, name, y, 18, x=290, room=100, anchor="lm")
    return image


def _label(image: Image.Image, name: str, x: int, y: int, width: int, place: int) -> None:
    box = (x - width // 2, y - 20, x + width // 2, y + 20)
    ImageDraw.Draw(image).rounded_rectangle(box, 8, lighter(COLORS[_HUES[place % 6]], 0.55), INK, 2)
    write(image, name, y, 16, x=x, room=width - 8)


def _arrow(image: Image.Image, start: tuple[float, float], end: tuple[float, float]) -> None:
    draw = ImageDraw.Draw(image)
    draw.line((*start, *end), fill=INK, width=3)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    wings = [
        (end[0] - 10 * math.cos(angle + turn), end[1] - 10 * math.sin(angle + turn))
        for turn in (-0.5, 0.5)
    ]
    draw.polygon([end, *wings], fill=INK)
