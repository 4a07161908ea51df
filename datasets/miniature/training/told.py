"""Scenes told instead of shown: the sentence about the objects stands in the place of the image.

What a language model knows before it sees: to read a list of objects and boxes, and to answer from
it. A tiny model has no text to learn that from but this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.scenes import Box, Region, Scene, Thing
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.crayon.text import CrayonObject, crayon_sentence

GRID = 16
"""Cells of a side of the tiny model's patch grid, on which the Crayon Prompt's boxes lie."""


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
