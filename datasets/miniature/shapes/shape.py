"""What a class of objects is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import Color
from collavo.datasets.miniature.raster import Pen


@dataclass(frozen=True)
class Shape:
    """One class of things.

    Args:
        name: The COCO name.
        plural: As questions about counts write it.
        aspect: Width over height of its box.
        height: Usual height, as a share of the image's height.
        paint: Paints it in its colour.
        colors: The names of the colours it comes in.
        named: Whether one would name the whole object by that colour ("a red car").
    """

    name: str
    plural: str
    aspect: float
    height: float
    paint: Callable[[Pen, Color, Dice], None]
    colors: tuple[str, ...]
    named: bool = True
