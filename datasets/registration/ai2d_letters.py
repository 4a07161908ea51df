"""Draws the letters of AI2D's `abcLabel` questions over the labels of a diagram.

The questions of that kind offer letters as options, which the authors drew in place of the
diagram's own labels. Where those images (`abc_images`) are not there, they are made from the
annotations: each text's `replacementText` in its `rectangle`.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.rows import read_json
from collavo.errors import DataError

_SMALLEST = 8
"""Pixels of the smallest letter; a label may be thinner than can be read."""


@dataclass(frozen=True)
class LetteredImage:
    """Makes one diagram with letters, anew at every read.

    Args:
        image: The diagram.
        annotation: Its annotation file.
    """

    image: Path
    annotation: Path

    def __call__(self) -> bytes:
        """Returns the image as PNG.

        Raises:
            FileNotFoundError: The diagram or its annotation is not there.
            DataError: The annotation or the diagram is broken.
        """
        from PIL import Image, ImageDraw

        labels = labels_of(self.annotation)
        try:
            with Image.open(self.image) as opened:
                drawn = opened.convert("RGB")
        except FileNotFoundError:
            raise
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{self.image} cannot be read as an image: {error}") from error
        pen = ImageDraw.Draw(drawn)
        for letter, box in labels:
            _draw(pen, letter, box)
        buffer = io.BytesIO()
        drawn.save(buffer, format="PNG")
        return buffer.getvalue()


Box = tuple[float, float, float, float]


def labels_of(annotation: Path) -> list[tuple[str, Box]]:
    """Reads the letters and their rectangles (left, top, right, bottom, in pixels).

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken; the message names the text.
    """
    value = read_json(annotation)
    texts = value.get("text") if isinstance(value, dict) else None
    if not isinstance(texts, dict):
        raise DataError(f"{annotation}: no object 'text' with the diagram's labels")
    found = []
    for name, text in texts.items():
        letter = text.get("replacementText") if isinstance(text, dict) else None
        if not isinstance(letter, str) or not letter.strip():
            continue
        found.append((letter.strip(), _box(text.get("rectangle"), f"{annotation}, text {name}")))
    return found


def _box(rectangle: Any, place: str) -> Box:
    try:
        (x0, y0), (x1, y1) = rectangle
        numbers = [float(x) for x in (x0, y0, x1, y1)]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{place}: 'rectangle' must be two corners, got {rectangle!r:.80}") from (
            error
        )
    if not all(math.isfinite(x) and abs(x) < 1e6 for x in numbers):
        raise DataError(f"{place}: 'rectangle' must lie in the image, got {rectangle!r:.80}")
    left, right = sorted((numbers[0], numbers[2]))
    top, bottom = sorted((numbers[1], numbers[3]))
    return left, top, right, bottom


def _draw(pen: Any, letter: str, box: Box) -> None:
    """Paints the rectangle white and writes the letter in its middle."""
    from PIL import ImageFont

    left, top, right, bottom = box
    pen.rectangle(box, fill="white")
    size = max(_SMALLEST, round(min(bottom - top, (right - left) / max(1, 0.7 * len(letter)))))
    font = ImageFont.load_default(min(size, 200))
    middle = ((left + right) / 2, (top + bottom) / 2)
    if isinstance(font, ImageFont.FreeTypeFont):
        pen.text(middle, letter, fill="black", font=font, anchor="mm")
    else:  # a Pillow without FreeType has one small font
        x0, y0, x1, y1 = pen.textbbox((0, 0), letter, font=font)
        spot = (middle[0] - (x0 + x1) / 2, middle[1] - (y0 + y1) / 2)
        pen.text(spot, letter, fill="black", font=font)
