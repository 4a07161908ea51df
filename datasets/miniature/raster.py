"""Paints polygons and ellipses exactly: the same pixels with every version of every library.

Drawing libraries change which edge pixels they set from release to release; ground truth must not.
Here a sample is set if its centre lies inside the shape, in arithmetic that IEEE 754 fixes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collavo.datasets.miniature.palette import Color, darker

SAMPLES = 3
"""Samples a pixel along each axis."""

_GRID = 64
"""Corners are rounded to this fraction of a sample, so that sines of another libm fall together."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Sprite:
    """A painted object.

    Args:
        color: (3, h, w) float32, RGB in [0, 255] times coverage.
        cover: (h, w) float32 in [0, 1], the share of each pixel that is painted.
    """

    color: np.ndarray
    cover: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool: the pixels that belong to the object."""
        return self.cover >= 0.5


class Pen:
    """Paints one object in a box whose coordinates run from 0 to 1, y downwards.

    Args:
        width: Of the box, in pixels.
        height: Of the box, in pixels.
        flip: Paints mirrored left to right.
    """

    def __init__(self, width: int, height: int, flip: bool = False) -> None:
        self.flip = flip
        self._w, self._h = width * SAMPLES, height * SAMPLES
        self._parts = np.zeros((self._h, self._w), np.uint8)
        self._palette: list[Color] = []

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fills a polygon by the even-odd rule."""
        xs = [self._round((1 - x if self.flip else x) * self._w) for x, _ in points]
        ys = [self._round(y * self._h) for _, y in points]
        top, bottom = max(0, math.floor(min(ys))), min(self._h, math.ceil(max(ys)))
        left, right = max(0, math.floor(min(xs))), min(self._w, math.ceil(max(xs)))
        if top >= bottom or left >= right:
            return
        crossings = np.zeros((bottom - top, right - left + 1), bool)
        ends = zip(xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)
        for (x0, y0), (x1, y1) in zip(zip(xs, ys, strict=True), ends, strict=True):
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            first, last = max(top, math.ceil(y0 - 0.5)), min(bottom, math.ceil(y1 - 0.5))
            if first >= last:
                continue
            rows = np.arange(first, last)
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(x - 0.5).astype(np.int64) - left, 0, right - left)
            crossings[rows - top, columns] ^= True
        inside = np.logical_xor.accumulate(crossings, axis=1)[:, :-1]
        self._fill(self._parts[top:bottom, left:right], inside, color)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color: Color, span: Point = (0.0, 1.0)
    ) -> None:
        """Fills an ellipse about (x, y), of which only heights within `span` are painted."""
        cx, cy = (1 - x if self.flip else x) * self._w, y * self._h
        a, b = max(rx * self._w, 0.5), max(ry * self._h, 0.5)
        top = max(0, math.floor(cy - b), self._row(span[0]))
        bottom = min(self._h, math.ceil(cy + b), self._row(span[1]))
        left, right = max(0, math.floor(cx - a)), min(self._w, math.ceil(cx + a))
        if top >= bottom or left >= right:
            return
        across = ((np.arange(left, right) + 0.5 - cx) / a) ** 2
        down = ((np.arange(top, bottom) + 0.5 - cy) / b) ** 2
        inside = across[None, :] + down[:, None] <= 1.0
        self._fill(self._parts[top:bottom, left:right], inside, color)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        """Fills a rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)

    def line(self, points: Sequence[Point], width: float, color: Color) -> None:
        """Draws a line through `points` with round joints; `width` in parts of the box's height."""
        ratio = self._w / self._h
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            dx, dy = (x1 - x0) * ratio, y1 - y0
            length = math.sqrt(dx * dx + dy * dy) or 1.0
            ox, oy = -dy / length * width / 2 / ratio, dx / length * width / 2
            corners = [(x0 + ox, y0 + oy), (x1 + ox, y1 + oy), (x1 - ox, y1 - oy)]
            self.polygon([*corners, (x0 - ox, y0 - oy)], color)
        for x, y in points:
            self.ellipse(x, y, width / 2 / ratio, width / 2, color)

    def finish(self, outline: float = 0.45) -> Sprite:
        """Averages the samples; a rim one pixel wide is darkened by `outline`."""
        painted = self._parts > 0
        wide, middle = np.pad(painted, SAMPLES), slice(SAMPLES, -SAMPLES)
        inner = wide[: -2 * SAMPLES, middle] & wide[2 * SAMPLES :, middle]
        inner &= wide[middle, : -2 * SAMPLES] & wide[middle, 2 * SAMPLES :]
        rim = painted & ~inner
        index = self._parts + rim * np.uint8(len(self._palette))
        colors = [*self._palette, *(darker(c, outline) for c in self._palette)]
        # Red, green, blue and coverage of each palette entry, averaged over the samples of a pixel.
        table = np.array([(0, 0, 0, 0), *((*c, 1) for c in colors)], np.float32).T
        layers = np.zeros((4, self._h // SAMPLES, self._w // SAMPLES), np.float32)
        for row in range(SAMPLES):
            for column in range(SAMPLES):
                layers += table[:, index[row::SAMPLES, column::SAMPLES]]
        layers /= SAMPLES**2  # the sums are whole numbers below 2**24: exact in any order
        return Sprite(layers[:3], layers[3])

    def _fill(self, region: np.ndarray, inside: np.ndarray, color: Color) -> None:
        if color not in self._palette:
            self._palette.append(color)
            assert len(self._palette) < 128, "an object is painted in fewer than 128 colours"
        region[inside] = self._palette.index(color) + 1

    def _row(self, y: float) -> int:
        return round(y * self._h)

    @staticmethod
    def _round(value: float) -> float:
        return math.floor(value * _GRID + 0.5) / _GRID
