"""Maps of invented and real places: dots with names, north at the top."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, page, write
from collavo.datasets.miniature.palette import COLORS

SIZE = (400, 300)
Spots = Mapping[str, tuple[float, float]]
"""Where each place lies: shares of the map from the west and from the north."""


def draw_map(title: str, spots: Spots, rivers: bool = False) -> Image.Image:
    """Draws a map.

    Args:
        title: What stands above it.
        spots: The places; nearer than 0.12 to one another they would hide their names.
        rivers: Whether a river runs through it from west to east, in its middle.
    """
    image = page((176, 208, 236), SIZE)
    draw = ImageDraw.Draw(image)
    land = [
        (34, 66),
        (150, 46),
        (300, 52),
        (372, 96),
        (366, 216),
        (286, 280),
        (120, 276),
        (30, 214),
    ]
    draw.polygon(land, fill=(226, 222, 178), outline=(120, 116, 84))
    if rivers:
        draw.line([(32, 168), (120, 160), (230, 174), (369, 164)], fill=(86, 140, 210), width=6)
    write(image, title, 22, 19)
    for name, (east, south) in spots.items():
        x, y = round(60 + 240 * east), round(80 + 170 * south)
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=COLORS["red"], outline=INK)
        write(image, name, y - 15, 14, x=x, room=110)
    _compass(image, 356, 262)
    return image


def _compass(image: Image.Image, x: int, y: int) -> None:
    draw = ImageDraw.Draw(image)
    draw.polygon([(x, y - 22), (x - 6, y), (x + 6, y)], fill=INK)
    draw.polygon([(x, y + 22), (x - 6, y), (x + 6, y)], fill=(255, 255, 255), outline=INK)
    for text, dx, dy in (("N", 0, -30), ("S", 0, 29), ("W", -17, 0), ("E", 17, 0)):
        write(image, text, y + dy, 13, x=x + dx, room=30)


def most(spots: Spots, direction: str) -> str:
    """The place that lies farthest in a direction ("north", "east", "south" or "west")."""
    axis = 1 if direction in ("north", "south") else 0
    sign = 1 if direction in ("east", "south") else -1
    return max(spots, key=lambda name: sign * spots[name][axis])
