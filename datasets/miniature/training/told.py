"""Scenes told instead of shown: the sentence about the objects stands in the place of the image.

What a language model knows before it sees: to read a list of objects and boxes, and to answer from
it. A tiny model has no text to learn that from but this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import alone
from collavo.datasets.miniature.scenes import Box, Region, Scene, Thing
from collavo.datasets.miniature.training.drills import each
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.crayon.text import (
    CrayonObject,
    crayon_sentence,
    object_box,
    object_phrase,
)

GRID = 16
"""Cells of a side of the tiny model's patch grid, on which the Crayon Prompt's boxes lie."""


BEGIN = "In which tenth of the picture, from 0 at the left, do these begin"

SINGLE_BOXES = 3
"""Boxes that are asked for one by one, at the most."""


def sentence(drawn: Scene, dice: Dice) -> str:
    """Returns what the Crayon Prompt says of a scene, its objects in any order.

    Segmenters list objects in an order of their own, and so number them.
    """
    counts: Counter[str] = Counter()
    objects = []
    seen: list[Thing | Region] = [*drawn.things, *drawn.stuff]
    for item in dice.shuffled(seen):
        name = CLEAN_NAMES[item.label_id]
        counts[name] += 1
        objects.append(CrayonObject(name, counts[name], _on_grid(item.box, drawn.image.size)))
    return crayon_sentence(objects)


def part_of(drawn: Scene, dice: Dice) -> Scene:
    """Leaves out some of a scene's objects, for other lists and numbers; one thing stays."""
    share = dice.uniform(0.2, 1.2)
    things = [thing for thing in drawn.things if dice.chance(share)]
    stuff = [region for region in drawn.stuff if dice.chance(share)]
    kept = things or [dice.choice(drawn.things)]
    return replace(drawn, things=tuple(kept), stuff=tuple(stuff))


def looked_up(drawn: Scene, told_first: str, dice: Dice) -> list[tuple[str, str]]:
    """Asks for the whole list again, for entries, for where things begin, or for single boxes.

    All of it can be copied from the list: this teaches to look things up. Entries are those of
    things that are alone in their class.
    """
    way = dice.choice(("again", "entries", "begin", "begin", "begin", "boxes"))
    if way == "again":
        return [("Say that again.", told_first)]
    things = dice.shuffled(alone(drawn))
    if not things:
        return []
    size = drawn.image.size
    entries = [CrayonObject(thing.name, 1, _on_grid(thing.box, size)) for thing in things]
    if way == "boxes":
        return [
            (f"Where exactly is the {entry.name}?", object_box(entry))
            for entry in entries[:SINGLE_BOXES]
        ]
    names = ", ".join(entry.name for entry in entries)
    if way == "begin":
        tenths = each((entry.name, str(int(10 * entry.box[0]))) for entry in entries)
        return [(f"{BEGIN}: {names}?", tenths)]
    said = ", ".join(object_phrase(entry) for entry in entries)
    return [(f"Where exactly are these: {names}?", said)]


def told(turns: Sequence[tuple[str, str]], told_first: str) -> list[tuple[str, str]]:
    """Puts the sentence before the first question."""
    (question, answer), *others = turns
    return [(f"{told_first} {question}", answer), *others]


def _on_grid(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box in shares of the image, its edges moved to the nearest ones of cells."""
    width, height = size
    left, right = _edges(box[0] / width, box[2] / width)
    top, bottom = _edges(box[1] / height, box[3] / height)
    return left, top, right, bottom


def _edges(low: float, high: float) -> tuple[float, float]:
    start = min(round(low * GRID), GRID - 1)
    return start / GRID, max(round(high * GRID), start + 1) / GRID
