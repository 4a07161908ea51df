"""Charts and tables that show exact values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, page, write
from collavo.datasets.miniature.palette import COLORS, lighter

SIZE = (400, 300)
HUES = ("blue", "orange", "green", "purple", "red", "yellow", "pink", "brown")
"""The colours of bars and slices, in order."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 386, 56, 254


@dataclass(frozen=True)
class Chart:
    """One series of values.

    Args:
        kind: "bars", "rows" (bars that lie), "line" or "pie".
        title: What is counted.
        labels: At most eight.
        values: At least 0; of a pie, percent that add up to 100.
        unit: What stands behind the title in brackets.
    """

    kind: str
    title: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    unit: str = ""

    def at(self, value: int) -> str:
        """The label of a value that occurs once."""
        return self.labels[self.values.index(value)]

    @property
    def highest(self) -> str:
        """The label of the highest value."""
        return self.at(max(self.values))

    @property
    def lowest(self) -> str:
        """The label of the lowest value."""
        return self.at(min(self.values))

    def draw(self) -> Image.Image:
        """Draws the chart; every value is written at its mark."""
        image = page((255, 255, 255), SIZE)
        write(image, f"{self.title} ({self.unit})" if self.unit else self.title, 24, 19)
        {"bars": _bars, "rows": _rows, "line": _line, "pie": _pie}[self.kind](image, self)
        return image


def _scale(chart: Chart) -> tuple[int, int]:
    """The step between grid lines and the value at the end of the axis."""
    top = max(chart.values)
    steps = (s * 10**e for e in range(9) for s in (1, 2, 5))
    step = next(s for s in steps if top <= 5 * s)
    return step, -(-top // step) * step


def _grid(image: Image.Image, chart: Chart) -> float:
    """Draws the lines of a vertical axis; returns pixels a unit."""
    draw, (step, top) = ImageDraw.Draw(image), _scale(chart)
    pixels = (_BOTTOM - _TOP) / top
    for value in range(0, top + 1, step):
        y = round(_BOTTOM - value * pixels)
        draw.line((_LEFT, y, _RIGHT, y), fill=(214, 214, 218))
        write(image, str(value), y, 12, x=22, room=40)
    draw.line((_LEFT, _TOP, _LEFT, _BOTTOM), fill=INK)
    draw.line((_LEFT, _BOTTOM, _RIGHT, _BOTTOM), fill=INK)
    return pixels


def _middles(chart: Chart) -> list[int]:
    width = (_RIGHT - _LEFT) / len(chart.labels)
    return [round(_LEFT + width * (place + 0.5)) for place in range(len(chart.labels))]


def _bars(image: Image.Image, chart: Chart) -> None:
    pixels, half = _grid(image, chart), round((_RIGHT - _LEFT) / len(chart.labels) * 0.3)
    for x, label, value, hue in zip(
        _middles(chart), chart.labels, chart.values, HUES, strict=False
    ):
        y = round(_BOTTOM - value * pixels)
        ImageDraw.Draw(image).rectangle((x - half, y, x + half, _BOTTOM), COLORS[hue], INK)
        write(image, str(value), y - 9, 13, x=x, room=60)
        write(image, label, _BOTTOM + 18, 14, x=x, room=round(half * 3.2))


def _rows(image: Image.Image, chart: Chart) -> None:
    left, bottom = 104, 280
    height = (bottom - _TOP) / len(chart.labels)
    pixels = (_RIGHT - left - 34) / max(chart.values)
    listed = zip(chart.labels, chart.values, HUES, strict=False)
    for place, (label, value, hue) in enumerate(listed):
        y, end = round(_TOP + height * (place + 0.5)), round(left + value * pixels)
        half = round(height * 0.32)
        ImageDraw.Draw(image).rectangle((left, y - half, end, y + half), COLORS[hue], INK)
        write(image, str(value), y, 14, x=end + 16, room=32)
        write(image, label, y, 14, x=10, room=left - 16, anchor="lm")


def _line(image: Image.Image, chart: Chart) -> None:
    draw, pixels = ImageDraw.Draw(image), _grid(image, chart)
    heights = [round(_BOTTOM - value * pixels) for value in chart.values]
    points = list(zip(_middles(chart), heights, strict=True))
    draw.line(points, fill=COLORS["blue"], width=3)
    for (x, y), label, value in zip(points, chart.labels, chart.values, strict=True):
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=COLORS["blue"], outline=INK)
        write(image, str(value), y - 13, 13, x=x, room=60)
        write(image, label, _BOTTOM + 18, 13, x=x, room=52)


def _pie(image: Image.Image, chart: Chart) -> None:
    draw, start = ImageDraw.Draw(image), -90.0
    (cx, cy), radius = (140, 168), 108
    total = sum(chart.values)
    listed = zip(chart.labels, chart.values, HUES, strict=False)
    for place, (label, value, hue) in enumerate(listed):
        end = start + 360 * value / total
        box = (cx - radius, cy - radius, cx + radius, cy + radius)
        draw.pieslice(box, start, end, lighter(COLORS[hue], 0.15), INK)
        middle = math.radians((start + end) / 2)
        x, y = cx + 72 * math.cos(middle), cy + 72 * math.sin(middle)
        write(image, f"{value}%", round(y), 14, x=round(x), room=60)
        top = 80 + 32 * place
        draw.rectangle((272, top - 8, 288, top + 8), COLORS[hue], INK)
        write(image, label, top, 15, x=298, room=96, anchor="lm")
        start = end


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Image.Image:
    """Draws a table.

    Args:
        title: What stands above it.
        header: The names of the columns, at most four.
        rows: The cells; at most seven rows.
    """
    image = page((255, 255, 255), SIZE)
    write(image, title, 24, 19)
    draw, width, height = ImageDraw.Draw(image), 360 // len(header), 31
    for number, row in enumerate([header, *rows]):
        y = 50 + height * number
        fill = (222, 230, 242) if number == 0 else (255, 255, 255)
        for column, value in enumerate(row):
            x = 20 + width * column
            draw.rectangle((x, y, x + width, y + height), fill, INK)
            write(image, str(value), y + height // 2, 15, x=x + width // 2, room=width - 8)
    return image
