"""Draws a small dataset of coloured shapes: `images/` and `questions.jsonl`.

It stands for data that you have. Usage: python make_data.py FOLDER
"""

import json
import sys
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw

COLORS = {"red": (214, 40, 40), "blue": (30, 90, 210), "green": (40, 150, 60)}
SHAPES = ("circle", "square")


def draw(shape: str, color: str) -> Image.Image:
    """Draws one shape in one colour on a pale page."""
    image = Image.new("RGB", (320, 240), (244, 242, 236))
    pen = ImageDraw.Draw(image)
    paint = pen.ellipse if shape == "circle" else pen.rectangle
    paint((90, 50, 230, 190), fill=COLORS[color], outline=(30, 30, 30), width=4)
    return image


def main(folder: Path) -> None:
    """Writes six images with four questions each."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for shape, color in product(SHAPES, COLORS):
        name = f"{color}_{shape}.png"
        draw(shape, color).save(folder / "images" / name)
        other_shape = next(s for s in SHAPES if s != shape)
        other_color = next(c for c in COLORS if c != color)
        for category, asked, answer in (
            ("shape", shape, "yes"),
            ("shape", other_shape, "no"),
            ("color", f"{color} {shape}", "yes"),
            ("color", f"{other_color} {shape}", "no"),
        ):
            question = f"Is there a {asked} in the image?"
            rows.append(
                {"image": name, "question": question, "answer": answer, "category": category}
            )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
