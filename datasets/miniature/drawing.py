"""Pictures with writing and single objects, for questions that scenes do not serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import COLORS, Color
from collavo.datasets.miniature.raster import Pen
from collavo.datasets.miniature.scenes import Box
from collavo.datasets.miniature.shapes.catalog import SHAPES

SIZE = (360, 270)
PAPER: Color = (246, 244, 238)
INK: Color = (28, 30, 36)


def page(color: Color = PAPER, size: tuple[int, int] = SIZE) -> Image.Image:
    """Makes an empty picture."""
    return Image.new("RGB", size, color)


def save(image: Image.Image, path: Path) -> None:
    """Writes a picture; JPEG (also without ending) at a quality that keeps colours and edges."""
    if path.suffix in (".jpg", ""):
        image.save(path, format="JPEG", quality=92, subsampling=0)
    else:
        image.save(path)


def frame(image: Image.Image, box: Box, fill: Color | None, rim: Color, width: int = 4) -> None:
    """Draws a rectangle with a rim."""
    ImageDraw.Draw(image).rectangle(box, fill=fill, outline=rim, width=width)


def write(
    image: Image.Image,
    text: str,
    y: int,
    size: int,
    color: Color = INK,
    x: int = 0,
    room: int = 0,
    anchor: str = "mm",
) -> None:
    """Writes a line, smaller where it would not fit.

    Args:
        image: The picture.
        text: One line.
        y: The line's middle, in pixels.
        size: Of the letters, in pixels.
        color: Of the letters.
        x: Where the line is anchored, in pixels; 0 for the middle of the picture.
        room: How wide the line may be, in pixels; 0 for nearly the whole picture.
        anchor: "mm" if (x, y) is the middle of the line, "lm" if it is its left end.
    """
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    while size > 9 and draw.textlength(text, font) > (room or image.width - 24):
        size -= 1
        font = ImageFont.load_default(size)
    draw.text((x or image.width // 2, y), text, fill=color, font=font, anchor=anchor)


def stamp(
    image: Image.Image, name: str, color: str, x: int, y: int, height: int, look: int = 0
) -> Box:
    """Draws an object of a class of things.

    Args:
        image: The picture.
        name: The class, by COCO name.
        color: The name of its colour.
        x: Its middle, in pixels.
        y: Its middle, in pixels.
        height: In pixels.
        look: Chooses among the looks that the class has.

    Returns:
        Its XYXY box.
    """
    shape = SHAPES[name]
    width = round(height * shape.aspect)
    pen = Pen(width, height)
    shape.paint(pen, COLORS[color], Dice(look))
    sprite = pen.finish()
    left, top = x - width // 2, y - height // 2
    box = (left, top, left + width, top + height)
    below = np.asarray(image.crop(box), np.float32).transpose(2, 0, 1)
    mixed = (below * (1 - sprite.cover) + sprite.color).clip(0, 255).round().astype(np.uint8)
    image.paste(Image.fromarray(np.ascontiguousarray(mixed.transpose(1, 2, 0))), box[:2])
    return box
