"""What stands below a Crayon Prompt picture: sizes, then questions and answers."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from collavo.modeling.crayon.palette import INK, PALE, PAPER, Color, font

MOST_QUESTIONS = 12
_MOST_LINES = 6
_MOST_LETTERS = 2000
"""Of one text; what is longer is cut off, and says so by three dots."""


def with_captions(
    sheet: Image.Image, asked: Sequence[tuple[str, str]], unit: int, margin: int
) -> Image.Image:
    """Puts questions and answers below a sheet, wrapped to its width.

    Args:
        sheet: RGB.
        asked: Questions with their answers; beyond `MOST_QUESTIONS` they are only counted.
        unit: The font's size in pixels.
        margin: Pixels that are left at the sides.
    """
    if not asked:
        return sheet
    label = round(1.6 * unit)
    room = max(unit, sheet.width - 2 * margin - label)
    lines: list[tuple[str, str, Color]] = []
    for question, answer in asked[:MOST_QUESTIONS]:
        for mark, text, color in (("Q", question, PALE), ("A", answer, INK)):
            for number, line in enumerate(wrapped(text, unit, room)):
                lines.append((mark if number == 0 else "", line, color))
    if len(asked) > MOST_QUESTIONS:
        lines.append(("", f"and {len(asked) - MOST_QUESTIONS} more questions", PALE))
    step = round(1.4 * unit)
    made = Image.new("RGB", (sheet.width, sheet.height + step * len(lines) + 2 * margin), PAPER)
    made.paste(sheet, (0, 0))
    draw = ImageDraw.Draw(made)
    for number, (mark, text, color) in enumerate(lines):
        middle = sheet.height + margin + number * step + step // 2
        draw.text((margin, middle), mark, color, font(unit), anchor="lm")
        draw.text((margin + label, middle), text, color, font(unit), anchor="lm")
    return made


def wrapped(text: str, unit: int, room: float) -> list[str]:
    """Breaks a text into lines of at most `room` pixels, at spaces where there are any.

    Args:
        text: Of any length; control characters count as spaces.
        unit: The font's size in pixels.
        room: The width of a line.
    """
    plain = "".join(c if c.isprintable() else " " for c in text[:_MOST_LETTERS])
    words = plain.split()
    lines, line = [], ""
    while words:
        word = words.pop(0)
        longer = f"{line} {word}" if line else word
        if font(unit).getlength(longer) <= room:
            line = longer
        elif line:
            lines.append(line)
            line = ""
            words.insert(0, word)
        else:  # a word that is wider than the line, or a text without spaces
            count = len(fitting(word, unit, room))
            lines.append(word[:count])
            words[:0] = [word[count:]] if word[count:] else []
    if line or not lines:
        lines.append(line)
    if len(lines) > _MOST_LINES or len(text) > _MOST_LETTERS:
        last = lines[:_MOST_LINES][-1]
        dots = fitting(last, unit, room - font(unit).getlength("..."))
        lines = [*lines[:_MOST_LINES][:-1], f"{dots}..."]
    return lines


def fitting(text: str, unit: int, room: float) -> str:
    """The beginning of a text that is at most `room` pixels wide; one letter at least."""
    count = len(text)
    while count > 1 and font(unit).getlength(text[:count]) > room:
        count -= 1
    return text[:count]
