"""Rows of training scenes, and what the panoptic files alone say of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.miniature.questions import PHRASES
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training.turns import SHORT_ANSWER, YES_OR_NO

SCENES = 36
"""Scenes of the fixture `training_scenes`."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")


def read(root: Path, name: str = "instructions.json") -> list[dict[str, Any]]:
    return json.loads((root / name).read_text())


def pairs(row: dict[str, Any]) -> list[tuple[str, str]]:
    texts = [turn["value"] for turn in row["conversations"]]
    return list(zip(texts[::2], texts[1::2], strict=True))


def plain(question: str) -> str:
    """A question without the image's tag and what asks for the form of the answer."""
    return question.removeprefix("<image>\n").removesuffix(SHORT_ANSWER).removesuffix(YES_OR_NO)


def counts_by_image(root: Path) -> dict[str, Counter[str]]:
    document = json.loads((root / "panoptic_train.json").read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    return {
        files[a["image_id"]]: Counter(names[s["category_id"]] for s in a["segments_info"])
        for a in document["annotations"]
    }


def judged(question: str, counts: Counter[str]) -> str | None:
    """What a question about classes has to be answered, by the panoptic file alone."""
    plural = {shape.plural: name for name, shape in SHAPES.items()}
    if (m := re.fullmatch(r"Is there (?:a|an) (.+) in (?:the|this) image\?", question)) and (
        m[1] in SHAPES
    ):
        return "Yes" if counts[m[1]] else "No"
    if m := re.fullmatch(r"Is there only one (.+) in the image\?", question):
        return "Yes" if counts[m[1]] == 1 else "No"
    if m := re.fullmatch(r"Are there (\w+) (.+) in the image\?", question):
        return "Yes" if counts[plural[m[2]]] == NUMBERS.index(m[1]) else "No"
    if m := re.fullmatch(r"How many (.+) are there in the picture\?", question):
        return str(counts[plural[m[1]]])
    return None


def side_is_true(
    question: str, answer: str, middles: Mapping[str, tuple[float, float]]
) -> bool | None:
    """Whether the side of an object is told rightly; None where none is asked for."""
    if m := re.fullmatch(r"Where is the (.+), seen from the (.+)\?", question):
        where = {phrase: name for name, phrase in PHRASES.items()}[answer]
        said, other = True, m[2]
    elif m := re.fullmatch(
        r"Is the (.+?) (?:on the )?(left|right|above|under)(?: of)? the (.+) in the image\?",
        question,
    ):
        where, said, other = m[2], answer == "Yes", m[3]
    else:
        return None
    axis = 0 if where in ("left", "right") else 1
    before = middles[m[1]][axis] < middles[other][axis]
    return (before == (where in ("left", "above"))) == said
