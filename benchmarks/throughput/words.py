"""What the benchmark asks, and the text that its tokenizer is trained on: nobody else's words."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.llms.chat_templates import get_chat_template

YES_NO = " Please answer yes or no."
COLORS = ("red", "green", "blue", "yellow", "black", "white", "brown", "gray")
SIDES = ("left", "right", "top", "bottom")
NUMBERS = ("two", "three", "five")

CHECKS = (
    "Is there a {a} in the image?",
    "Is there only one {a} in the picture?",
    "Are there {number} {a}s in this image?",
    "Is the {a} to the {side} of the {b}?",
    "Is the {a} {color}?",
    "Does the image show a {color} {a} beside a {b}?",
)
"""Questions for yes or no, as MME asks them."""

QUESTIONS = (
    *CHECKS,
    "What is to the {side} of the {a}?",
    "What color is the {a} that is near the {b}?",
    "Which kind of object is {color}, the {a} or the {b}?",
    "On which side of the photo is the {a}, the {side} or the other one?",
    "How many objects are {color} like the {a}?",
)
"""Questions of GQA's kind and length."""


def questions(load: str, count: int, draw: Random) -> list[str]:
    """Words the questions of one image of a load."""
    if load == "gqa":
        return [_fill(draw.choice(QUESTIONS), draw) for _ in range(count)]
    if load == "mme":
        return [_fill(draw.choice(CHECKS), draw) + YES_NO for _ in range(count)]
    names = draw.sample(CLEAN_NAMES, count)
    return [
        f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name} in the image?" for name in names
    ]


def tokenizer_text(rounds: int = 20, seed: int = 0) -> Iterator[str]:
    """Yields whole prompts, line by line: each class in its list of objects, before a question."""
    draw = Random(seed)
    for _ in range(rounds):
        for name in CLEAN_NAMES:
            named = [name, *draw.sample(CLEAN_NAMES, 3)]
            objects = ", ".join(f"(#{draw.randint(1, 5)} {one}) {_box(draw)}" for one in named)
            asked = _fill(draw.choice(QUESTIONS), draw) + draw.choice(("", YES_NO))
            text = get_chat_template("collavo").render(asked, f"The image includes {objects}.")
            yield from text.split("\n")


def _fill(text: str, draw: Random) -> str:
    a, b = draw.sample(CLEAN_NAMES, 2)
    return text.format(
        a=a,
        b=b,
        color=draw.choice(COLORS),
        side=draw.choice(SIDES),
        number=draw.choice(NUMBERS),
    )


def _box(draw: Random) -> str:
    return "[" + ", ".join(f"{draw.random():.2f}" for _ in range(4)) + "]"
