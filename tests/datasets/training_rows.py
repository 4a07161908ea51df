"""Rows of training scenes, and what the panoptic files alone say of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.miniature.questions import PHRASES
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training.turns import SHORT_ANSWER, YES_OR_NO

SCENES = 36
"""Scenes of the fixture `training_scenes`."""

Box = tuple[float, float, float, float]

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")


def read(root: Path, name: str = "instructions.json") -> list[dict[str, Any]]:
    return json.loads((root / name).read_text())


def pairs(row: dict[str, Any]) -> list[tuple[str, str]]:
    texts = [turn["value"] for turn in row["conversations"]]
    return list(zip(texts[::2], texts[1::2], strict=True))


def plain(question: str) -> str:
    """A question without the image's tag and what asks for the form of the answer."""
    return question.removeprefix("<image>\n").removesuffix(SHORT_ANSWER).removesuffix(YES_OR_NO)


def singles(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A row's plain questions and answers; those that ask for much at once are taken apart."""
    return [single for asked, said in pairs(row) for single in apart(plain(asked), said)]


def apart(question: str, said: str) -> list[tuple[str, str]]:
    """Single questions and answers of one that asks what is true, or for the number of each."""
    if question.startswith("What is true: "):
        found = re.findall(r"(.+?) (yes|no)(?:, |$)", said.lower())
        listed = ", ".join(statement for statement, _ in found)
        assert question == f"What is true: {listed}?"
        return [(asked_whether(statement), answer.capitalize()) for statement, answer in found]
    if question.startswith("How many of each"):
        plural = {name: shape.plural for name, shape in SHAPES.items()}
        return [
            (f"How many {plural.get(name, name)} are there in the picture?", number)
            for name, number in words_of(said)
        ]
    if question.startswith("Which of these are"):
        return [(f"Is there a {name} in the image?", w.capitalize()) for name, w in words_of(said)]
    return [(question, said)]


def asked_whether(statement: str) -> str:
    """The question of MME that asks for what is said."""
    first = statement.split()[0]
    verb = "Are there" if first in NUMBERS else "Is" if first == "the" else "Is there"
    return f"{verb} {statement} in the image?"


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
        r"Is the (.+?) (?:on|above) .*\bor .* the (.+) in the image\?", question
    ):
        where, said, other = answer, True, m[2]
    elif m := re.fullmatch(
        r"Is the (.+?) (?:on the )?(left|right|above|under)(?: of)? the (.+) in the image\?",
        question,
    ):
        where, said, other = m[2], answer == "Yes", m[3]
    else:
        return None
    return is_on_side(middles[m[1]], where, middles[other]) == said


def is_on_side(middle: tuple[float, float], where: str, other: tuple[float, float]) -> bool:
    """Whether one point lies on that side of another."""
    axis = 0 if where in ("left", "right") else 1
    return (middle[axis] < other[axis]) == (where in ("left", "above"))


def told(row: dict[str, Any]) -> tuple[list[tuple[str, Box]], list[tuple[str, str]]]:
    """A told row's list, and its questions with their answers."""
    assert "image" not in row
    (first, answer), *others = pairs(row)
    listed, question = first.split("]. ", 1)
    asked = ((question, answer), *others)
    return entries_of(f"{listed}]"), [one for q, a in asked for one in apart(plain(q), a)]


def entries_of(listed: str) -> list[tuple[str, Box]]:
    """Classes and boxes of a list of objects."""
    found = re.findall(r"\(#\d+ ([^)]+)\) \[([\d., ]+)\]", listed)
    return [(name, boxed(box)) for name, box in found]


def middles_of(entries: Sequence[tuple[str, Box]]) -> dict[str, tuple[float, float]]:
    """Twice the middle of each class's box, for comparing."""
    return {name: (box[0] + box[2], box[1] + box[3]) for name, box in entries}


def words_of(said: str) -> list[tuple[str, str]]:
    """Things and the word that is said of each: "The dog left, the traffic light right"."""
    return re.findall(r"[Tt]he (.+?) (\w+)(?:, |$)", said)


def boxed(text: str) -> Box:
    """The numbers of a box."""
    left, top, right, bottom = (float(number) for number in text.split(", "))
    return left, top, right, bottom
