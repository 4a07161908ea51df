"""SEED-Bench in miniature: the nine kinds of image questions, four choices each.

Source of the layout: Li et al., 2023, arXiv:2307.16125. Two questions about videos are among them,
as in the authors' file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.knowledge import facts_about
from collavo.datasets.miniature.questions import Asked, ask, options
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import geometry, signs

TYPES = {
    "Scene Understanding": 1, "Instance Identity": 2, "Instance Attributes": 3,
    "Instance Location": 4, "Instances Counting": 5, "Spatial Relation": 6,
    "Instance Interaction": 7, "Visual Reasoning": 8, "Text Understanding": 9,
    "Action Recognition": 10, "Action Prediction": 11, "Procedure Understanding": 12,
}  # fmt: skip
KINDS = {"place": 1, "object": 2, "color": 3, "count": 5, "relation": 6}
"""Which type a question about a scene is of."""

IMAGES = 9
_AREAS = ("top left", "top right", "bottom left", "bottom right")


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `SEED-Bench/SEED-Bench.json` and the images, whose names have no ending."""
    folder = root / "SEED-Bench"
    gallery = Gallery(folder / "SEED-Bench-image", 13)
    rows: list[dict[str, Any]] = []
    for drawn in gallery.scenes(IMAGES):
        name = f"{drawn.seed % 10**7}_{drawn.seed * 7919 % 10**10}"
        gallery.put(name, drawn)
        for kind, asked in _about(drawn):
            rows.append(_row(name, kind, asked, len(rows)))
    for number, (kind, image, asked) in enumerate(_figures()):
        name = f"14{number:05d}_{number + 3_000_000_000}"
        gallery.figure(name, image)
        rows.append(_row(name, kind, asked, len(rows)))
    for number, kind in enumerate((10, 11)):
        asked = Asked("video", "What does the person do?", "walk", ("sit", "jump", "swim"))
        row = _row(f"P01_0{number}", kind, asked, len(rows))
        rows.append({**row, "data_type": "video", "question_id": f"v{number}", "segment": [0, 2]})
    write_json(folder / "SEED-Bench.json", {"questions": rows, "question_type": TYPES})
    return gallery.entries


def _about(drawn: Scene) -> list[tuple[int, Asked]]:
    dice = Dice(drawn.seed)
    found: list[tuple[int, Asked | None]] = []
    fact = next(iter(facts_about(drawn.counts())), None)
    if fact is not None and drawn.seed % 2:
        found.append((8, Asked("fact", fact.text, fact.answer, fact.wrong)))
    else:
        found.append((4, _area(drawn, dice)))
    found += [(KINDS[kind], ask(kind, drawn, dice)) for kind in dice.shuffled(list(KINDS))]
    return [(kind, asked) for kind, asked in found if asked is not None][:4]


def _area(drawn: Scene, dice: Dice) -> Asked | None:
    """Asks for the quarter of the picture that a lone object lies in as a whole."""
    width, height = drawn.image.size
    for thing in dice.shuffled(drawn.things):
        x0, y0, x1, y1 = thing.box
        across = "left" if x1 <= width / 2 else "right" if x0 >= width / 2 else ""
        down = "top" if y1 <= height / 2 else "bottom" if y0 >= height / 2 else ""
        if across and down and len(drawn.of(thing.name)) == 1:
            right = f"{down} {across}"
            wrong = tuple(area for area in _AREAS if area != right)
            text = f"In which part of the picture is the {thing.name}?"
            return Asked("area", text, right, wrong, (thing.name,))
    return None


def _figures() -> list[tuple[int, Image.Image, Asked]]:
    """Interaction, reasoning and text, which scenes do not serve."""
    walk = Asked("pair", "What is in front of the cup?", "a card", ("a spoon", "a plate", "a lamp"))
    oil = Asked("pair", "What stands behind the card?", "a bottle", ("a cat", "a chair", "a kite"))
    clock = Asked("clock", "What time is it on the clock?", "4:00", ("8:00", "12:20", "6:15"))
    later = Asked(
        "clock", "What will the clock show in an hour?", "8:00", ("7:00", "9:00", "12:35")
    )
    name = Asked("text", "What is the name on the shirt?", "MOSS", ("VALE", "ROOS", "HASK"))
    shop = Asked("text", "What can one buy in the shop?", "books", ("bread", "shoes", "tea"))
    road = Asked("text", "How far is it to Norda?", "25 km", ("12 km", "52 km", "5 km"))
    return [
        (7, signs.photo("cup", "blue", "TEA"), walk),
        (7, signs.photo("bottle", "green", "OIL"), oil),
        (8, geometry.clock_face(4, 0), clock),
        (8, geometry.clock_face(7, 0), later),
        (9, signs.jersey("MOSS", "17", "red"), name),
        (9, signs.shop("Blue Kite", "BOOKS", "blue"), shop),
        (9, signs.road_sign(("Norda", "25 km"), "green"), road),
    ]


def _row(name: str, kind: int, asked: Asked, number: int) -> dict[str, Any]:
    listed, right = options(asked, 4, Dice(number))
    choices = {f"choice_{letter}": text for letter, text in zip("abcd", listed, strict=True)}
    return {
        "answer": "ABCD"[right],
        **choices,
        "data_id": name,
        "data_type": "image",
        "question": asked.text,
        "question_id": str(101669 + number),
        "question_type_id": kind,
    }
