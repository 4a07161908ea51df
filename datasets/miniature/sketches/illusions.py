"""Figures that are easily seen wrong, and pictures in a row as frames of a film."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, page, stamp, write
from collavo.datasets.miniature.palette import COLORS


def arrows(upper: int, lower: int) -> Image.Image:
    """Two horizontal lines of the given lengths in pixels, whose ends point outwards and inwards.

    Lines of equal length look unequal so. Source: F. C. Müller-Lyer, 1889.
    """
    image = page((255, 255, 255))
    draw = ImageDraw.Draw(image)
    for y, length, wing in ((90, upper, 18), (180, lower, -18)):
        left, right = 180 - length // 2, 180 + length // 2
        draw.line((left, y, right, y), fill=INK, width=4)
        for x, inwards in ((left, wing), (right, -wing)):
            draw.line((x - inwards, y - 18, x, y), fill=INK, width=4)
            draw.line((x - inwards, y + 18, x, y), fill=INK, width=4)
    return image


def discs(left: int, right: int) -> Image.Image:
    """Two discs of the given radii in pixels, one among large ones and one among small ones.

    Discs of one size look unequal so. Source: H. Ebbinghaus.
    """
    image = page((255, 255, 255))
    draw = ImageDraw.Draw(image)
    for x, radius, around, away in ((100, left, 24, 68), (264, right, 9, 42)):
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            cx, cy = x + away * dx, 135 + away * dy
            box = (cx - around, cy - around, cx + around, cy + around)
            draw.ellipse(box, fill=COLORS["gray"], outline=INK)
        box = (x - radius, 135 - radius, x + radius, 135 + radius)
        draw.ellipse(box, fill=COLORS["orange"], outline=INK)
    return image


def frames(name: str, color: str, shares: Sequence[float]) -> Image.Image:
    """Frames from top to bottom, in which a thing stands at shares of the width."""
    image = page((120, 124, 132), (300, 90 * len(shares) + 10))
    for place, share in enumerate(shares):
        top = 10 + 90 * place
        image.paste((206, 222, 236), (10, top, 290, top + 80))
        image.paste((150, 150, 150), (10, top + 60, 290, top + 80))
        write(image, str(place + 1), top + 14, 16, x=24, room=20)
        stamp(image, name, color, round(50 + 200 * share), top + 45, 40)
    return image
