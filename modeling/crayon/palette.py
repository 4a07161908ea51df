"""The fixed color of each class, and the font, of Crayon Prompt pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import ImageFont

Color = tuple[int, int, int]

PAPER: Color = (255, 255, 255)
INK: Color = (24, 24, 27)
PALE: Color = (113, 113, 122)

_NUM_COLORS = 256

_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Linear sRGB to CIE XYZ. Source: IEC 61966-2-1."""

_WHITE = np.array([0.9505, 1.0, 1.089])


def class_color(label_id: int) -> Color:
    """The RGB color of a class, the same in every picture; those of the first 256 differ."""
    red, green, blue = _palette()[label_id % _NUM_COLORS]
    return red, green, blue


_NUM_SHADES = 7
_MOST_SHADE = 0.7
"""How far a shade goes to black or to white at most: there the hue can still be seen."""


def instance_color(label_id: int, number: int) -> Color:
    """The RGB color of the n-th instance of a class: a shade of the class's color.

    The first instance has the color itself; shades repeat after seven.
    """
    return _shades(class_color(label_id))[(number - 1) % _NUM_SHADES]


@cache
def _shades(color: Color) -> list[Color]:
    """Spaces shades evenly from near black over the color to near white, the farthest first."""
    base = np.array(color, dtype=float)
    dark, light = np.linalg.norm(base), np.linalg.norm(255 - base)
    # way from the color in RGB: a light color has more room towards black, a dark one to white
    places = np.linspace(-_MOST_SHADE * dark, _MOST_SHADE * light, _NUM_SHADES)
    places[np.argmin(abs(places))] = 0.0
    picked = [0.0]
    while len(picked) < _NUM_SHADES:
        distance = abs(places[:, None] - np.array(picked)).min(1)
        picked.append(float(places[int(np.argmax(distance.round(3)))]))
    shades: list[Color] = []
    for place in picked:
        end, whole = (255.0, light) if place > 0 else (0.0, dark)
        red, green, blue = (base + (end - base) * abs(place) / whole).round().astype(int).tolist()
        shades.append((red, green, blue))
    return shades


@cache
def _palette() -> list[list[int]]:
    """Picks colors one by one, each as far in CIE Lab as can be from those before it."""
    steps = np.arange(0, 256, 17)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lab = _lab(rgb / 255)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    vivid = (lab[:, 0] > 32) & (lab[:, 0] < 86) & (chroma > 28)
    rgb, lab = rgb[vivid], lab[vivid].round(3)
    picked = [int(np.argmax(chroma[vivid].round(3)))]
    distance = np.full(len(rgb), np.inf)
    while len(picked) < _NUM_COLORS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[picked[-1]], axis=1))
        picked.append(int(np.argmax(distance.round(3))))
    return rgb[picked].tolist()


def _lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB colors in [0, 1]. Source: CIE 15."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def ink_on(color: Color) -> Color:
    """Black or white, whichever reads better on `color` (by its relative luminance)."""
    red, green, blue = (
        c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color
    )
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 else PAPER


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)
