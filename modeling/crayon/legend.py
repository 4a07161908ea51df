"""The legend of Crayon Prompt pictures: a chip of color and "#n class" for each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from collavo.modeling.crayon.palette import INK, PALE, PAPER, Color, font, instance_color


@dataclass(frozen=True)
class DrawnObject:
    """One segment as a picture shows it.

    Args:
        id: Its value in the map.
        label_id: Its class.
        number: 1 for the first of its class.
        name: The cleaned class name.
    """

    id: int
    label_id: int
    number: int
    name: str

    @property
    def title(self) -> str:
        """What the Crayon Prompt calls it."""
        return f"#{self.number} {self.name}"

    @property
    def color(self) -> Color:
        """The shade of its class's color that it has."""
        return instance_color(self.label_id, self.number)


def with_legend(picture: Image.Image, objects: Sequence[DrawnObject], unit: int) -> Image.Image:
    """Puts the picture on paper with its legend at the right, in as many columns as it takes.

    Objects that would take more than two columns share a line with the others of their class.

    Args:
        picture: RGB.
        objects: In the order of the list.
        unit: The font's size in pixels.
    """
    line, margin = round(unit * 1.7), unit
    per_column = max(1, (picture.height - line) // line)
    lines = [(item.title, item.color) for item in objects]
    if len(lines) > 2 * per_column:
        lines = _by_class(objects)
    columns = [lines[i : i + per_column] for i in range(0, len(lines), per_column)]
    widths = [2 * margin + max(_width(text, unit) for text, _ in column) for column in columns]
    heading = f"{len(objects)} objects" if len(objects) != 1 else "1 object"
    if not objects:
        heading = "no objects found"
    legend = margin + max(_width(heading, unit), sum(widths) + margin * max(0, len(widths) - 1))
    sheet = Image.new("RGB", (picture.width + legend + margin, picture.height), PAPER)
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    left = picture.width + margin
    draw.text((left, line // 2), heading, PALE, font(unit), anchor="lm")
    for column, width in zip(columns, widths, strict=True):
        for row, (text, color) in enumerate(column, start=1):
            middle = row * line + line // 2
            chip = (left, middle - unit * 0.5, left + unit, middle + unit * 0.5)
            draw.rounded_rectangle(chip, unit // 4, color)
            draw.text((left + 1.5 * unit, middle), text, INK, font(unit), anchor="lm")
        left += width + margin
    return sheet


def _by_class(objects: Sequence[DrawnObject]) -> list[tuple[str, Color]]:
    counts: dict[int, DrawnObject] = {}
    for item in objects:
        counts[item.label_id] = item
    return [
        (
            item.title if item.number == 1 else f"#1-#{item.number} {item.name}",
            instance_color(item.label_id, 1),
        )
        for item in counts.values()
    ]


def _width(text: str, unit: int) -> int:
    return round(font(unit).getlength(text))
