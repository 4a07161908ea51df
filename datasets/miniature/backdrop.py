"""The canvas of a scene: colours and the stuff class of every pixel, before objects are put in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import Color
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC

LABELS: dict[str, int] = {category.name: index for index, category in enumerate(COCO_PANOPTIC)}
"""From an official COCO name to the contiguous label id."""

Texture = Callable[["Backdrop", np.ndarray], None]


class Backdrop:
    """Where the stuff of a scene is painted.

    Args:
        width: In pixels.
        height: In pixels.
        dice: Where shapes and shades are drawn from.

    Attributes:
        color: (3, H, W) float32, RGB in [0, 255].
        label: (H, W) int16, the contiguous label id; -1 where nothing was painted yet.
        x: (1, W) float32, the pixel centres as shares of the width.
        y: (H, 1) float32, the pixel centres as shares of the height.
    """

    def __init__(self, width: int, height: int, dice: Dice) -> None:
        self.width, self.height, self.dice = width, height, dice
        self.color = np.zeros((3, height, width), np.float32)
        self.label = np.full((height, width), -1, np.int16)
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        # RandomState, unlike Generator, promises the same numbers in every release of numpy.
        self._noise = np.random.RandomState(dice.integer(0, 2**31 - 1))

    def fill(self, where: np.ndarray, name: str, color: Color | np.ndarray) -> None:
        """Paints stuff called `name`.

        Args:
            where: Bool, broadcast to (H, W).
            name: The official COCO name.
            color: One colour, or (3, H, W) of which `where` is taken.
        """
        np.copyto(self.label, LABELS[name], where=where)
        self.tint(where, color)

    def tint(self, where: np.ndarray, color: Color | np.ndarray) -> None:
        """Paints colour alone; the stuff below stays what it is."""
        if not isinstance(color, np.ndarray):
            color = np.array(color, np.float32).reshape(3, 1, 1)
        np.copyto(self.color, color, where=where)

    def blend(self, color: Color, other: Color, share: np.ndarray) -> np.ndarray:
        """Mixes two colours by a share that broadcasts to (H, W); returns (3, ...) float32."""
        low = np.array(color, np.float32).reshape(3, 1, 1)
        high = np.array(other, np.float32).reshape(3, 1, 1)
        mixed = (high - low) * share.astype(np.float32)
        mixed += low
        return mixed

    def grain(self, rows: int = 1, columns: int = 1) -> np.ndarray:
        """Draws (H, W) float32 noise in [0, 1) whose grains are `rows` x `columns` pixels."""
        h, w = -(-self.height // rows), -(-self.width // columns)
        small = self._noise.randint(0, 256, (h, w)).astype(np.float32) / 256
        return small.repeat(rows, 0).repeat(columns, 1)[: self.height, : self.width]

    def disc(self, x: float, y: float, rx: float, ry: float) -> np.ndarray:
        """The inside of an ellipse, bool (H, W); radii as shares of the height."""
        ratio = self.width / self.height
        return ((self.x - x) * ratio / rx) ** 2 + ((self.y - y) / ry) ** 2 <= 1.0

    def box(self, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        """The inside of a rectangle, bool (H, W)."""
        return (self.x >= x0) & (self.x < x1) & (self.y >= y0) & (self.y < y1)

    def below(self, edge: float | np.ndarray) -> np.ndarray:
        """What lies below a height, or below a height that varies along x (shape (1, W))."""
        return self.y >= edge


def wave(x: np.ndarray) -> np.ndarray:
    """A smooth wave in [0, 1] of period 1, made of exact arithmetic only."""
    part = x - np.floor(x)
    return 4 * part * (1 - part)


def stripe(x: np.ndarray, period: float, width: float) -> np.ndarray:
    """Says where `x` falls into the first `width` of each `period`."""
    return x - np.floor(x / period) * period < width
