"""MM-Vet in miniature: open questions that need one ability or several.

Source of the layout: Yu et al., 2023, arXiv:2308.02490, and LLaVA's llava-mm-vet.jsonl, which
CoLLaVO reads as a JSON list.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.describe import description, inventory
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.knowledge import facts_about
from collavo.datasets.miniature.questions import ask
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import charts, diagrams, geometry, maps, signs

SCENES = 7

Questions = list[tuple[str, str, list[str]]]
"""Question, answer, abilities."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `mm-vet/mm-vet.json`, LLaVA's list and `mm-vet/images`."""
    folder = root / "mm-vet"
    gallery = Gallery(folder / "images", 9)
    truth: dict[str, Any] = {}
    listed: list[dict[str, Any]] = []

    def add(name: str, questions: Questions) -> None:
        for text, answer, abilities in questions:
            number = len(truth)
            truth[f"v1_{number}"] = {
                "imagename": name,
                "question": text,
                "answer": answer,
                "capability": abilities,
                "imagesource": "drawn",
            }
            row = {"image": name, "text": text, "category": "conv", "question_id": number}
            listed.append(row)

    for image, questions in figures():
        name = f"v1_{len(truth)}.png"
        gallery.figure(name, image)
        add(name, questions)
    for drawn in gallery.scenes(SCENES):
        name = f"v1_{len(truth)}.png"
        gallery.put(name, drawn)
        add(name, about(drawn))
    write_json(folder / "mm-vet.json", truth)
    write_json(folder / "llava-mm-vet.json", listed)
    return gallery.entries


def about(drawn: Scene) -> Questions:
    """Asks two questions about a scene."""
    dice, turn = Dice(drawn.seed), drawn.seed % 4
    asked = ask(("relation", "color", "count", "side")[turn], drawn, dice)
    facts = facts_about(drawn.counts())
    found: Questions = []
    if asked:
        spatial = ["rec", "spat"] if asked.kind in ("relation", "side") else ["rec"]
        found.append((asked.text, asked.answer, spatial))
    if facts and turn % 2:
        found.append((facts[0].text, facts[0].answer, ["rec", "know"]))
    elif turn == 0:
        found.append(("Describe the picture in detail.", description(drawn), ["rec", "gen"]))
    else:
        names = " <AND> ".join(inventory(drawn).replace(" and ", ", ").split(", "))
        found.append(("Which objects are there, and how many of each?", names, ["rec"]))
    return found


def figures() -> Iterator[tuple[Image.Image, Questions]]:
    """Yields figures with their questions."""
    yield geometry.formula("x^2=9"), [("What is x in the equation?", "-3<AND>3", ["ocr", "math"])]
    yield (
        signs.document("HARBOR CAFE", [("Tea", "$2"), ("Cake", "$4"), ("Soup", "$5")]),
        [
            ("How much do a tea and two cakes cost together?", "$10<OR>10", ["ocr", "math"]),
            ("What is the most expensive thing on the bill?", "soup", ["ocr"]),
        ],
    )
    spots = {"Elmford": (0.2, 0.1), "Norda": (0.8, 0.4), "Kest": (0.4, 0.8)}
    yield (
        maps.draw_map("Amber Island", spots),
        [("Which town is in the south of the island?", "Kest", ["ocr", "spat"])],
    )
    chart = charts.Chart("bars", "Visitors", ("Mon", "Tue", "Wed"), (20, 45, 30))
    yield (
        chart.draw(),
        [("How many visitors came on Monday and Tuesday together?", "65", ["ocr", "spat", "math"])],
    )
    yield (
        signs.road_sign(("Norda", "25 km"), "green"),
        [("How far is it to Norda?", "25 km<OR>25 kilometers", ["ocr"])],
    )
    yield (
        diagrams.plant("root", "stem", "leaf", "flower"),
        [("Which labelled part makes food from sunlight?", "leaf", ["ocr", "know"])],
    )
    yield (
        signs.jersey("MOSS", "17", "red"),
        [("What is on the shirt, and what is it for?",
          "The shirt has the name MOSS and the number 17, to tell a player from the others.",
          ["ocr", "rec", "know", "gen"])],
    )  # fmt: skip
    yield (
        geometry.clock_face(3, 30),
        [("What time does the clock show?", "3:30<OR>half past three", ["rec", "spat", "know"])],
    )
