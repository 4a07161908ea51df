"""Things with writing on them: signs, labels, plates, receipts, cards."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from collavo.datasets.miniature.drawing import INK, frame, page, stamp, write
from collavo.datasets.miniature.palette import COLORS, darker, lighter

_WALL = (196, 188, 178)
_WHITE = (252, 252, 250)


def shop(name: str, line: str, color: str) -> Image.Image:
    """A shop front: its name, and a line in the window."""
    image = page(_WALL)
    frame(image, (30, 30, 330, 100), COLORS[color], darker(COLORS[color], 0.4), 5)
    write(image, name, 65, 34, INK if color in ("yellow", "white") else _WHITE, room=280)
    frame(image, (60, 120, 240, 250), (186, 214, 230), INK, 4)
    frame(image, (262, 120, 322, 262), (120, 84, 56), INK, 4)
    frame(image, (80, 150, 220, 200), _WHITE, INK, 2)
    write(image, line, 175, 20, x=150, room=130)
    return image


def bottle(brand: str, content: str, volume: str, color: str) -> Image.Image:
    """A bottle whose label names brand, content and volume."""
    image = page((222, 230, 234), (270, 360))
    draw = ImageDraw.Draw(image)
    glass = COLORS[color]
    draw.rectangle((112, 20, 158, 90), fill=darker(glass, 0.3), outline=INK, width=3)
    draw.rounded_rectangle((60, 84, 210, 346), 30, fill=glass, outline=INK, width=3)
    frame(image, (64, 150, 206, 292), _WHITE, INK, 2)
    write(image, brand, 180, 30, COLORS["red"], x=135, room=130)
    write(image, content, 224, 20, x=135, room=130)
    write(image, volume, 264, 20, x=135, room=130)
    return image


def plate(number: str, color: str) -> Image.Image:
    """A car with a number plate."""
    image = page((188, 192, 198))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((40, 50, 320, 235), 40, fill=COLORS[color], outline=INK, width=4)
    draw.rounded_rectangle((80, 66, 280, 128), 16, fill=(60, 74, 90), outline=INK, width=3)
    for x in (74, 286):
        draw.ellipse((x - 22, 136, x + 22, 180), fill=(250, 236, 190), outline=INK, width=3)
    frame(image, (108, 176, 252, 220), _WHITE, INK, 4)
    write(image, number, 198, 32, room=134)
    return image


def road_sign(lines: Sequence[str], color: str) -> Image.Image:
    """A board on a post by a road."""
    image = page((170, 208, 238))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 210, 360, 270), fill=(116, 160, 88))
    draw.rectangle((172, 150, 188, 262), fill=(110, 112, 116))
    frame(image, (60, 40, 300, 170), COLORS[color], _WHITE, 6)
    step = 120 // (len(lines) + 1)
    for place, line in enumerate(lines):
        ink = INK if color in ("yellow", "white") else _WHITE
        write(image, line, 46 + step * (place + 1), min(34, step - 4), ink, room=220)
    return image


def jersey(name: str, number: str, color: str) -> Image.Image:
    """A shirt with a name and a number on its back."""
    image = page((120, 168, 104), (300, 320))
    shirt = [(70, 60), (110, 36), (190, 36), (230, 60), (270, 130), (232, 150), (222, 120)]
    shirt += [(222, 290), (78, 290), (78, 120), (68, 150), (30, 130)]
    ImageDraw.Draw(image).polygon(shirt, fill=COLORS[color], outline=INK, width=3)
    ink = INK if color in ("yellow", "white") else _WHITE
    write(image, name, 96, 26, ink, x=150, room=130)
    write(image, number, 190, 96, ink, x=150, room=140)
    return image


def book(title: str, author: str, color: str) -> Image.Image:
    """A book's cover."""
    image = page((150, 116, 84), (270, 360))
    frame(image, (40, 24, 230, 336), COLORS[color], darker(COLORS[color], 0.5), 6)
    ink = INK if color in ("yellow", "white") else _WHITE
    for place, word in enumerate(title.split()):
        write(image, word, 84 + 44 * place, 34, ink, x=135, room=170)
    write(image, author, 300, 20, ink, x=135, room=170)
    return image


def document(title: str, lines: Sequence[tuple[str, str]]) -> Image.Image:
    """A form or a bill: names on the left and what belongs to them on the right; up to eight."""
    image = page((214, 214, 210), (320, 360))
    frame(image, (20, 12, 300, 348), _WHITE, (120, 120, 120), 2)
    write(image, title, 44, 24, x=160, room=260)
    ImageDraw.Draw(image).line((36, 68, 284, 68), fill=INK, width=2)
    for place, (name, value) in enumerate(lines):
        y = 92 + 32 * place
        write(image, name, y, 17, x=36, room=120, anchor="lm")
        write(image, value, y, 17, x=168, room=118, anchor="lm")
    return image


def word(text: str, color: str = "blue") -> Image.Image:
    """One word in a box, as cut out of a photo."""
    image = page(lighter(COLORS[color], 0.7), (300, 110))
    write(image, text, 55, 54, darker(COLORS[color], 0.3), room=270)
    return image


def turned(text: str, degrees: float) -> Image.Image:
    """A word that runs upwards or downwards."""
    flat = page((232, 226, 214), (300, 300))
    write(flat, text, 150, 50, (110, 40, 30), room=240)
    turned_by = flat.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(232, 226, 214))
    return turned_by.crop((0, 60, 300, 240))


def artistic(text: str) -> Image.Image:
    """A word whose letters have colours, sizes and shadows of their own."""
    image = page((250, 240, 214), (360, 140))
    width = 320 // len(text)
    for place, letter in enumerate(text):
        x, y = 20 + width * place + width // 2, 70 + (8 if place % 2 else -8)
        size = min(64, width + 22)
        hue = COLORS[("red", "blue", "green", "purple", "orange")[place % 5]]
        write(image, letter, y + 3, size, (170, 160, 150), x=x + 3, room=80)
        write(image, letter, y, size, hue, x=x, room=80)
    return image


def handwritten(text: str) -> Image.Image:
    """A word in blue ink on ruled paper, each letter a little higher or lower than the next."""
    image = page((250, 250, 244), (360, 120))
    for y in (34, 84):
        ImageDraw.Draw(image).line((0, y, 360, y), fill=(190, 206, 226))
    width = min(34, 330 // len(text))
    for place, letter in enumerate(text):
        y, size = 60 + (place * 5) % 7 - 3, 40 + (place * 3) % 5
        write(image, letter, y, size, (30, 44, 130), x=24 + width * place, room=60)
    return image


def photo(name: str, color: str, text: str = "") -> Image.Image:
    """One object on a table, with a word on a card before it where there is one."""
    image = page((206, 196, 182))
    ImageDraw.Draw(image).rectangle((0, 180, 360, 270), fill=(150, 108, 70))
    stamp(image, name, color, 180, 120, 170)
    if text:
        frame(image, (110, 206, 250, 250), _WHITE, INK, 3)
        write(image, text, 228, 24, room=126)
    return image
