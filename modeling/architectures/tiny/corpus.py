"""The text that the tiny model's tokenizer is trained on: prompts, classes, boxes, questions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from collavo.datasets.miniature.places import PLACES
from collavo.datasets.miniature.shapes.catalog import SHAPES as THINGS
from collavo.modeling.llms.chat_templates import get_chat_template

COLORS = "black blue brown gray green orange pink purple red white yellow cyan".split()
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve twenty".split()
SHAPES = "circle square triangle round tall small large big bright dark striped".split()
SIDES = (
    "left",
    "right",
    "top",
    "bottom",
    "above",
    "below",
    "middle",
    "in front of",
    "behind",
    "next to",
    "on top of",
    "under",
)
SUFFIXES = (
    "Answer the question using a single word or phrase.",
    "Please answer yes or no.",
    "Answer with the option's letter from the given choices directly.",
    "When the provided information is insufficient, respond with 'Unanswerable'.",
    "Provide a short description for this region.",
    "Provide the bounding box of the object that the sentence describes.",
)
QUESTIONS = (
    "Is there a {a} in the image?",
    "Is there an {a} in the image?",
    "Is there a {color} {a} in this image?",
    "Are there {number} {a}s in this image?",
    "Are there a total of {number} {a}s in the picture?",
    "Does this image have a {a}?",
    "Is the {a} {side} the {b}?",
    "Is the {a} on the {side} side of the {b}?",
    "Is the {a} in the {side} of the image {color}?",
    "What color is the {a}?",
    "What is the color of the {a} that is {side} the {b}?",
    "What is to the {side} of the {a}?",
    "What is in the box {box}?",
    "What object is {side} the {b}?",
    "Which of these is in the image?",
    "Which side of the image is the {a} on?",
    "Where is the {a}?",
    "Where is the {color} {a} {side} the {b}?",
    "How many {a}s are there in the image?",
    "How many objects are in the picture?",
    "How many {color} things can you see?",
    "Who or what stands {side} the {a}?",
    "What does the text say?",
    "What number is written on the {a}?",
    "What is the total of {digits} and {digits}?",
    "What is the value of the {color} bar?",
    "Which bar is the highest, and what is its label?",
    "Does the {color} line lie {side} the {b} line?",
    "Do both pictures show the same {a}?",
    "Is {digits} more than {digits}?",
    "Is the scene indoors or outdoors?",
    "Is it day or night in this photo?",
    "What kind of place is this, and which season is it?",
    "Describe the image.",
    "Describe the {a} and the {b} in detail.",
    "Please list all objects with their numbers and boxes.",
    "Could you give the box of the {a}?",
    "Which objects are in the image, and where?",
    "How many of each are there in the picture: {a}, {b}?",
    "What colors are these in the picture: {a}, {b}?",
    "On which side is the one, seen from the other: {a} from {b}?",
    "Where in the picture are these: {a}, {b}?",
    "Where is the {a}, seen from the {b}?",
    "Is there only one {a} in the image?",
    "Are there both a {a} and a {b} in the picture?",
    "Is there either a {a} or an {b} in the picture?",
    "Is this picture captured in a place of {place}?",
    "Does this image describe a place of {place}?",
    "Is it a {place} that the picture shows?",
    "What kind of place does the picture show?",
    "Of which of these things are there most in the picture?",
    "On which side of the picture is the {a}?",
    "How many {plurals} and {plurals} are there in the picture altogether?",
    "Are there {number} {plurals} in the image?",
    "Describe this picture in detail.",
)
ANSWERS = (
    "Yes",
    "No",
    "yes",
    "no",
    "Yes.",
    "No.",
    "Yes, there is a {a}.",
    "No, there is no {a}.",
    "Yes, the {a} is {color}.",
    "{color}",
    "{a}",
    "{number}",
    "{digits}",
    "{side}",
    "A",
    "B",
    "C",
    "D",
    "E",
    "A. {a}",
    "B. {b}",
    "C. {color}",
    "D. {number}",
    "E. none of them",
    "The {a} is {side} the {b}.",
    "The answer is {digits}.",
    "There are {number} {a}s and one {b} in the image.",
    "The image shows a {color} {a} {side} a {color} {b}.",
    "Sure, it is (#{digit} {a}) {box}.",
    "Sure, it is {box}.",
    "The picture shows a {place}.",
    "There are {number} {plurals}, one {a} and {number} {plurals}.",
    "The {a} is to the {side} of the {b}.",
    "{a} {digit}, {b} 0",
    "{a} {color} and {color}, {b} {color}",
    "{a} from {b} {side}",
    "{a} top left, {b} bottom right",
    "{plurals}",
    "{place}",
    "Sure, they are (#1 {a}) {box}, (#2 {a}) {box}, (#1 {b}) {box}.",
)
_PLURALS = tuple(thing.plural for thing in THINGS.values())
GRIDS = (16, 16, 16, 16, 16, 16, 16, 35)
"""Cells of a side of the patch grid, whose fractions boxes are made of; 16 is the tiny model's."""


def corpus(class_names: Sequence[str], rounds: int = 40, seed: int = 0) -> Iterator[str]:
    """Yields the lines of the corpus; equal arguments give equal lines.

    Args:
        class_names: The cleaned names that prompts speak of.
        rounds: How often each class, question and answer occurs.
        seed: Draws the blanks.
    """
    draw = random.Random(seed)
    prompts = [get_chat_template(name).render("\0") for name in ("collavo", "collavo_demo")]
    fixed = [part for prompt in prompts for part in prompt.split("\0")]
    fixed += ["None of detailed object information for image.", *SUFFIXES]
    for _ in range(rounds):
        for name in class_names:
            yield f"Is there a {name} in the image?"
            objects = [_object(draw, class_names, n) for n in (name, "", "")]
            yield f"The image includes {', '.join(objects)}."
        for text in (*QUESTIONS, *ANSWERS):
            yield _fill(draw, text, class_names)
        for text in (*QUESTIONS, *SUFFIXES):
            yield f"{_object(draw, class_names)}. {_fill(draw, text, class_names)}"
        for words in (COLORS, NUMBERS, SHAPES, SIDES):
            yield " ".join(draw.sample(words, len(words)))
        for text in fixed * 6:
            yield from text.replace("<image>", "").split("\n")


def _object(draw: random.Random, class_names: Sequence[str], name: str = "") -> str:
    number = min(1 + int(draw.expovariate(0.7)), 20)
    return f"(#{number} {name or draw.choice(class_names)}) {_box(draw)}"


def _box(draw: random.Random) -> str:
    cells = draw.choice(GRIDS)
    x1, x2 = sorted(draw.sample(range(cells + 1), 2))
    y1, y2 = sorted(draw.sample(range(cells + 1), 2))
    return "[" + ", ".join(f"{v / cells:.2f}" for v in (x1, y1, x2, y2)) + "]"


def _fill(draw: random.Random, text: str, class_names: Sequence[str]) -> str:
    a, b = draw.sample(list(class_names), 2)
    while "{box}" in text:
        text = text.replace("{box}", _box(draw), 1)
    while "{plurals}" in text:
        text = text.replace("{plurals}", draw.choice(_PLURALS), 1)
    return text.format(
        place=draw.choice(PLACES).name,
        a=a,
        b=b,
        color=draw.choice(COLORS),
        number=draw.choice(NUMBERS),
        side=draw.choice(SIDES),
        digit=draw.randint(1, 9),
        digits=draw.randint(0, 120),
    )
