"""VizWiz in miniature: photos of one thing each, some too dark or too blurred to tell.

Source of the layout: Gurari et al., 2018, arXiv:1802.08218.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import Asked
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import photos, signs
from collavo.datasets.miniature.vqa_files import answer_type, ten_answers, with_confidence

VAL, TEST = 24, 10
UNANSWERABLE = "unanswerable"

THINGS = (
    ("cup", "blue", "TEA"), ("bottle", "green", "OIL"), ("apple", "red", "GALA"),
    ("clock", "black", "LUMA"), ("banana", "yellow", "BIO"), ("umbrella", "red", "SALE"),
    ("chair", "brown", "OAK"), ("cup", "white", "MILK"), ("bottle", "brown", "MALT"),
    ("apple", "green", "PIPPIN"), ("kite", "orange", "TOY"), ("cat", "black", "MIMI"),
)  # fmt: skip
"""Class, colour, and the word on the card before it."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `VizWiz`: val with answers, test without."""
    folder, entries = root / "VizWiz", []
    for split, first, count in (("val", 0, VAL), ("test", VAL, TEST)):
        gallery = Gallery(folder / split, 6, start=first)
        rows = []
        for number in range(count):
            image, asked = _photo(first + number)
            name = f"VizWiz_{split}_{number:08d}.jpg"
            gallery.figure(name, image)
            answers = ten_answers(asked, Dice(first + number))
            row: dict[str, object] = {"image": name, "question": asked.text}
            rows.append(row | _labels(asked, answers) if split == "val" else row)
        write_json(folder / "Annotations" / f"{split}.json", rows)
        entries += gallery.entries
    return entries


def _labels(asked: Asked, answers: Sequence[str]) -> dict[str, object]:
    known = asked.answer != UNANSWERABLE
    kind = answer_type(asked.answer) if known else UNANSWERABLE
    return {
        "answers": with_confidence(answers),
        "answer_type": kind,
        "answerable": int(known),
    }


def _photo(number: int) -> tuple[Image.Image, Asked]:
    """Makes the n-th photo with its question; each sixth tells nothing."""
    name, color, text = THINGS[number * 5 % len(THINGS)]
    image = signs.photo(name, color, text)
    if number >= len(THINGS):  # taken anew, at a slant
        slant = (4 + 4 * (number // len(THINGS))) * (1 if number % 2 else -1)
        image = image.rotate(slant, Image.Resampling.BICUBIC, fillcolor=(60, 60, 64))
    if number % 6 == 5:
        spoilt = photos.blurred(image, 40) if number % 12 == 5 else photos.dark(photos.dark(image))
        words = ("What does this card say?", "Can you tell me what this is?")[number % 12 == 5]
        return spoilt, Asked("none", words, UNANSWERABLE, ("unsuitable", "unsuitable image"))
    asked = (
        Asked("class", "What is this?", name, (text.lower(), "table")),
        Asked("color", f"What color is this {name}?", color, ("gray", "purple")),
        Asked("text", "What does the card say?", text.lower(), (name, "card")),
        Asked("yes", f"Is this {color} or pink?", color, ("pink",)),
        Asked("yes", f"Is there one {name} or are there two?", "1", ("2",)),
    )
    return image, asked[number % 6]
