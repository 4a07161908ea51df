"""How each kind of stuff looks: every function paints one COCO stuff class into a backdrop."""

from __future__ import annotations

import numpy as np

from collavo.datasets.miniature.backdrop import Backdrop, stripe, wave
from collavo.datasets.miniature.palette import Color, darker, lighter, tone

SKIES: tuple[tuple[Color, Color], ...] = (
    ((92, 160, 232), (206, 232, 250)),
    ((120, 150, 200), (244, 214, 190)),
    ((150, 170, 190), (214, 222, 230)),
)
WALLS: tuple[Color, ...] = ((236, 224, 196), (204, 220, 226), (222, 206, 220), (208, 224, 200))
HOUSES: tuple[Color, ...] = ((196, 150, 120), (168, 160, 156), (206, 184, 148), (150, 130, 140))
FLOORS: tuple[Color, ...] = ((184, 134, 84), (150, 100, 62), (206, 164, 112))
TABLES: tuple[Color, ...] = ((160, 104, 62), (120, 76, 48), (196, 150, 104))
RUGS: tuple[Color, ...] = ((150, 60, 70), (70, 90, 140), (90, 120, 96))


def sky(b: Backdrop, where: np.ndarray, horizon: float) -> None:
    """A gradient with clouds, which are sky too."""
    top, bottom = b.dice.choice(SKIES)
    b.fill(where, "sky-other-merged", b.blend(top, bottom, np.minimum(b.y / horizon, 1) + 0 * b.x))
    for _ in range(b.dice.integer(0, 4)):
        x, y = b.dice.uniform(0.05, 0.95), b.dice.uniform(0.06, max(0.1, horizon - 0.18))
        size = b.dice.uniform(0.05, 0.1)
        for dx, scale in ((-0.9, 0.7), (0.0, 1.0), (0.9, 0.75)):
            puff = b.disc(x + dx * size * 0.8, y, size * 1.1 * scale, size * 0.55 * scale)
            b.tint(puff & where, lighter(bottom, 0.75))


def mountain(b: Backdrop, horizon: float, snowy: bool) -> None:
    """Two to four peaks that rise over the horizon, some with white caps."""
    rock = tone((128, 124, 138), *(b.dice.integer(-14, 14) for _ in range(3)))
    count = b.dice.integer(2, 4)
    for place in range(count):
        x = (place + b.dice.uniform(0.2, 0.8)) / count
        peak = horizon - b.dice.uniform(0.12, 0.26)
        slope = b.dice.uniform(0.7, 1.2)
        shape = b.below(peak + abs(b.x - x) * slope) & (b.y < horizon)
        shade = b.blend(darker(rock, 0.28), rock, (b.x < x) + 0 * b.y)
        b.fill(shape, "mountain-merged", shade)
        if snowy or b.dice.chance(0.5):
            jag = wave(b.x * 40) * 0.02
            b.tint(shape & (b.y < peak + 0.06 + jag), (242, 246, 250))


def sea(b: Backdrop, where: np.ndarray, top: float) -> None:
    """Water with bands of waves that widen towards us."""
    base = b.dice.choice(((30, 98, 168), (34, 124, 160), (60, 110, 150)))
    depth = np.maximum(b.y - top, 0) + 0.03
    ripple = wave(8 * np.sqrt(depth) * 4 + wave(b.x * 3) * 0.7)
    b.fill(where, "sea", b.blend(base, lighter(base, 0.35), ripple * 0.8))


def sand(b: Backdrop, where: np.ndarray) -> None:
    """Pale yellow grains."""
    base = tone((228, 200, 142), *(b.dice.integer(-8, 8) for _ in range(3)))
    b.fill(where, "sand", b.blend(darker(base, 0.16), base, b.grain()))


def grass(b: Backdrop, where: np.ndarray) -> None:
    """Green with upright blades."""
    base = b.dice.choice(((104, 166, 70), (122, 172, 84), (86, 146, 62)))
    b.fill(where, "grass-merged", b.blend(darker(base, 0.22), base, b.grain(rows=5)))


def snow(b: Backdrop, where: np.ndarray) -> None:
    """Nearly white, with soft blue drifts."""
    drift = wave(b.y * 5 + wave(b.x * 1.5) * 0.6) * 0.7 + b.grain() * 0.2
    b.fill(where, "snow", b.blend((246, 249, 252), (206, 220, 238), drift))


def dirt(b: Backdrop, where: np.ndarray) -> None:
    """Brown earth with clods."""
    base = b.dice.choice(((150, 112, 76), (164, 128, 96)))
    b.fill(where, "dirt-merged", b.blend(darker(base, 0.25), base, b.grain(3, 4)))


def road(b: Backdrop, where: np.ndarray, top: float, bottom: float) -> None:
    """Dark asphalt with a dashed line along its middle."""
    base = b.dice.choice(((84, 86, 92), (104, 104, 108)))
    b.fill(where, "road", b.blend(base, lighter(base, 0.14), b.grain()))
    middle = (top + bottom) / 2
    line = (abs(b.y - middle) < 0.012) & stripe(b.x + b.dice.uniform(0, 1), 0.16, 0.09)
    b.tint(line & where, b.dice.choice(((244, 244, 240), (244, 206, 70))))


def pavement(b: Backdrop, where: np.ndarray) -> None:
    """Pale slabs with dark joints."""
    base = b.dice.choice(((186, 184, 180), (200, 192, 180)))
    b.fill(where, "pavement-merged", b.blend(darker(base, 0.07), base, b.grain()))
    row = np.floor(b.y / 0.05)
    joint = stripe(b.y, 0.05, 0.007) | stripe(b.x + 0.05 * (row % 2), 0.1, 0.006)
    b.tint(joint & where, darker(base, 0.25))


def building(b: Backdrop, horizon: float) -> None:
    """A row of houses of different heights with lit and dark windows."""
    x = b.dice.uniform(-0.1, 0.0)
    while x < 1.0:
        width, top = b.dice.uniform(0.13, 0.28), b.dice.uniform(0.06, horizon - 0.2)
        if b.dice.chance(0.8):
            house = b.dice.choice(HOUSES)
            body = b.box(x, top, x + width, horizon)
            b.fill(body, "building-other-merged", house)
            pane = stripe(b.x - x - 0.012, 0.05, 0.028) & stripe(b.y - top - 0.02, 0.075, 0.045)
            lit = b.dice.choice(((250, 232, 160), (90, 112, 140)))
            b.tint(body & pane & (b.x < x + width - 0.012) & (b.y < horizon - 0.02), lit)
            b.tint(b.box(x, top, x + 0.006, horizon), darker(house, 0.4))
        x += width


def tree(b: Backdrop, horizon: float) -> None:
    """Round crowns on trunks that stand on the horizon."""
    for _ in range(b.dice.integer(2, 5)):
        x, size = b.dice.uniform(0.0, 1.0), b.dice.uniform(0.08, 0.14)
        foot = horizon + b.dice.uniform(0.01, 0.04)
        half = size * 0.13 * b.height / b.width
        leaf = b.dice.choice(((42, 110, 54), (58, 122, 48), (36, 96, 62)))
        b.fill(b.box(x - half, foot - size * 2, x + half, foot), "tree-merged", (98, 68, 44))
        for dx, dy, scale in ((-0.6, 0.25, 0.75), (0.6, 0.25, 0.75), (0.0, -0.35, 1.0)):
            ratio = size * b.height / b.width
            crown = b.disc(x + dx * ratio, foot + (dy - 1.8) * size, size * scale, size * scale)
            b.fill(crown, "tree-merged", b.blend(darker(leaf, 0.25), leaf, b.grain(3, 3)))


def fence(b: Backdrop, horizon: float) -> None:
    """White or brown pickets across the whole width."""
    base = b.dice.choice(((236, 232, 222), (142, 98, 60)))
    top = horizon - b.dice.uniform(0.12, 0.18)
    point = top + abs(b.x / 0.05 - np.floor(b.x / 0.05) - 0.42) * 0.04
    pickets = stripe(b.x, 0.05, 0.042) & (b.y >= point)
    rails = (abs(b.y - top - 0.05) < 0.01) | (abs(b.y - horizon + 0.04) < 0.01)
    b.fill((pickets | rails) & (b.y < horizon + 0.02), "fence-merged", base)
    edge = stripe(b.x, 0.05, 0.006) & pickets & (b.y < horizon + 0.02)
    b.tint(edge, darker(base, 0.3))


def wall(b: Backdrop, where: np.ndarray) -> None:
    """A plain painted wall with faint stripes."""
    base = b.dice.choice(WALLS)
    faint = stripe(b.x, b.dice.uniform(0.05, 0.12), 0.03) * np.float32(0.5)
    b.fill(where, "wall-other-merged", b.blend(base, darker(base, 0.1), faint + 0 * b.y))


def wall_brick(b: Backdrop, where: np.ndarray) -> None:
    """Red-brown bricks in a running bond."""
    base = b.dice.choice(((166, 84, 66), (150, 96, 78)))
    row = np.floor(b.y / 0.05)
    b.fill(where, "wall-brick", b.blend(darker(base, 0.14), base, b.grain(4, 6)))
    joint = stripe(b.y, 0.05, 0.008) | stripe(b.x + 0.05 * (row % 2), 0.1, 0.008)
    b.tint(joint & where, (206, 196, 184))


def wall_tile(b: Backdrop, where: np.ndarray) -> None:
    """Square glazed tiles."""
    base = b.dice.choice(((214, 232, 236), (232, 236, 220), (190, 216, 214)))
    ratio = b.height / b.width
    b.fill(where, "wall-tile", base)
    joint = stripe(b.y, 0.09, 0.008) | stripe(b.x, 0.09 * ratio, 0.008 * ratio)
    b.tint(joint & where, darker(base, 0.25))


def floor_wood(b: Backdrop, where: np.ndarray) -> None:
    """Planks that run across."""
    base = b.dice.choice(FLOORS)
    row = np.floor(b.y / 0.055)
    shade = (row * 7 % 5) / 5 + 0 * b.x
    b.fill(where, "floor-wood", b.blend(darker(base, 0.16), base, shade))
    seam = stripe(b.y, 0.055, 0.006) | (stripe(b.x + row * 0.37 % 1, 0.4, 0.005))
    b.tint(seam & where, darker(base, 0.35))


def rug(b: Backdrop, top: float) -> None:
    """A flat oval with a pale border."""
    base, x = b.dice.choice(RUGS), b.dice.uniform(0.35, 0.65)
    y, rx = b.dice.uniform(top + 0.16, 0.84), b.dice.uniform(0.34, 0.5)
    for scale, color in ((1.0, base), (0.88, lighter(base, 0.6)), (0.78, base)):
        b.fill(b.disc(x, y, rx * scale, 0.13 * scale) & (b.y > top), "rug-merged", color)


def window(b: Backdrop, floor: float) -> None:
    """Four panes of daylight in a white frame."""
    x, y = b.dice.uniform(0.08, 0.62), b.dice.uniform(0.06, 0.12)
    w, h = b.dice.uniform(0.18, 0.26), min(0.3, floor - y - 0.14)
    b.fill(b.box(x, y, x + w, y + h), "window-other", (248, 248, 244))
    glass = b.blend((122, 178, 230), (210, 234, 250), (b.y - y) / h + 0 * b.x)
    for left in (x + 0.012, x + w / 2 + 0.006):
        for above in (y + 0.016, y + h / 2 + 0.008):
            pane = b.box(left, above, left + w / 2 - 0.018, above + h / 2 - 0.024)
            b.tint(pane, glass)


def table(b: Backdrop, top: float) -> None:
    """A table top seen from the front, with its edge at the bottom."""
    base = b.dice.choice(TABLES)
    where = b.below(top)
    vein = wave(b.y * 22 + wave(b.x * 2) * 0.8) * 0.5 + b.grain(2, 9) * 0.3
    b.fill(where, "table-merged", b.blend(base, darker(base, 0.2), vein))
    b.tint((b.y >= top) & (b.y < top + 0.02), lighter(base, 0.25))
