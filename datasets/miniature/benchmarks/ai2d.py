"""AI2D in miniature: school diagrams, some asked about by letters in place of their labels.

Source of the layout: Kembhavi et al., 2016, arXiv:1603.07396, in CoLLaVO's form: `ai2d_test.json`
with `ai2d_images/images` and, where the options are letters, `ai2d_images/abc_images`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import Asked, options
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import diagrams

LETTERS = "ABCD"


@dataclass(frozen=True)
class Diagram:
    """One diagram.

    Args:
        draw: Draws it with the given labels.
        labels: Its four labels, in the order in which `draw` takes them.
        asked: Questions with the label that is right.
        by_letter: Whether they are asked by letters, too.
    """

    draw: Callable[[Sequence[str]], Image.Image]
    labels: tuple[str, str, str, str]
    asked: tuple[tuple[str, str], ...]
    by_letter: bool = False


def _food(first: str, second: str, third: str, fourth: str, by_letter: bool = False) -> Diagram:
    asked = (
        (f"What does the {second} feed on?", first),
        (f"Which living thing eats the {third}?", fourth),
        ("Which is the producer in the food chain?", first),
    )
    return Diagram(diagrams.chain, (first, second, third, fourth), asked, by_letter)


DIAGRAMS = (
    _food("grass", "mouse", "snake", "hawk"),
    Diagram(
        lambda names: diagrams.plant(*names),
        ("root", "stem", "leaf", "flower"),
        (
            ("Which part grows below the ground?", "root"),
            ("Which part makes most of the food?", "leaf"),
            ("Which part attracts bees?", "flower"),
        ),
        by_letter=True,
    ),
    Diagram(
        partial(diagrams.cycle, "Life cycle of a frog"),
        ("eggs", "tadpole", "froglet", "frog"),
        (
            ("Which stage comes right after the tadpole?", "froglet"),
            ("What hatches from the eggs?", "tadpole"),
            ("Which stage lays eggs?", "frog"),
        ),
    ),
    Diagram(
        partial(diagrams.layers, "Layers of the Earth"),
        ("crust", "mantle", "outer core", "inner core"),
        (("Which layer is on top?", "crust"), ("Which layer is the lowest?", "inner core")),
        by_letter=True,
    ),
    _food("algae", "shrimp", "herring", "seal"),
    Diagram(
        partial(diagrams.cycle, "Water cycle"),
        ("sea", "vapor", "cloud", "rain"),
        (("What does vapor turn into?", "cloud"), ("What falls from the cloud?", "rain")),
    ),
    Diagram(
        partial(diagrams.cycle, "Life cycle of a butterfly"),
        ("egg", "larva", "pupa", "adult"),
        (("Which stage has wings?", "adult"), ("Which stage hatches from the egg?", "larva")),
        by_letter=True,
    ),
)


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `ai2d/ai2d_test.json` and `ai2d/ai2d_images`."""
    gallery = Gallery(root / "ai2d" / "ai2d_images", 12)
    rows: list[dict[str, Any]] = []
    for number, diagram in enumerate(DIAGRAMS):
        name = f"{40 + 37 * number}.png"
        gallery.figure(f"images/{name}", diagram.draw(diagram.labels))
        if diagram.by_letter:
            gallery.figure(f"abc_images/{name}", diagram.draw(LETTERS))
        forms = [False, True] if diagram.by_letter else [False]
        for place, (text, right) in enumerate((*diagram.asked,) * len(forms)):
            letters = place >= len(diagram.asked)
            asked = _letter(diagram, text, right) if letters else _plain(diagram, text, right)
            listed, index = options(asked, 4, Dice(100 * number + place))
            listed, index = (
                (list(LETTERS), LETTERS.index(asked.answer)) if letters else (listed, index)
            )
            metadata = {
                "questionId": f"{name}-{place}",
                "abcLabel": letters,
                "answerTexts": listed,
                "correctAnswer": index,
            }
            rows.append({"imageName": name, "question": asked.text, "metadata": metadata})
    write_json(root / "ai2d" / "ai2d_test.json", rows)
    return gallery.entries


def _plain(diagram: Diagram, text: str, right: str) -> Asked:
    return Asked("label", text, right, tuple(x for x in diagram.labels if x != right))


def _letter(diagram: Diagram, text: str, right: str) -> Asked:
    letter = LETTERS[diagram.labels.index(right)]
    asked = f"{text.rstrip('?')}, by the letters in the diagram?"
    return Asked("letter", asked, letter, tuple(x for x in LETTERS if x != letter))
