"""The colours that objects are asked for by name, and operations on colours."""

from __future__ import annotations

from collavo.datasets.miniature.dice import Dice

Color = tuple[int, int, int]
"""RGB in [0, 255]."""

COLORS: dict[str, Color] = {
    "red": (212, 38, 38),
    "orange": (244, 128, 28),
    "yellow": (248, 212, 44),
    "green": (44, 156, 66),
    "blue": (36, 92, 214),
    "purple": (134, 58, 172),
    "pink": (242, 128, 182),
    "brown": (126, 78, 44),
    "black": (38, 38, 42),
    "white": (242, 242, 240),
    "gray": (140, 144, 150),
}

VIVID = ("red", "yellow", "green", "blue", "purple", "white", "black")
"""The colours of painted things."""

JITTER = 10
"""How far each channel of a named colour may lie from its table value."""


def jittered(name: str, dice: Dice) -> Color:
    """Draws a shade of the named colour that nobody would call by another name."""
    return tone(COLORS[name], *(dice.integer(-JITTER, JITTER) for _ in range(3)))


def tone(color: Color, red: int, green: int, blue: int) -> Color:
    """Adds to each channel, within [0, 255]."""
    shifted = (color[0] + red, color[1] + green, color[2] + blue)
    r, g, b = (min(255, max(0, c)) for c in shifted)
    return r, g, b


def mixed(color: Color, other: Color, share: float) -> Color:
    """Mixes `share` of `other` into `color`."""
    pairs = zip(color, other, strict=True)
    r, g, b = (int(a + (b - a) * share) for a, b in pairs)
    return r, g, b


def darker(color: Color, share: float = 0.3) -> Color:
    """Mixes black into the colour."""
    return mixed(color, (0, 0, 0), share)


def lighter(color: Color, share: float = 0.4) -> Color:
    """Mixes white into the colour."""
    return mixed(color, (255, 255, 255), share)
