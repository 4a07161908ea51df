"""Says in sentences what a scene shows."""

from __future__ import annotations

from collavo.datasets.miniature.questions import PHRASES, article_of, related
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.shapes.catalog import SHAPES

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def inventory(drawn: Scene) -> str:
    """Lists the objects with their numbers: "two dogs, one cat and three cups"."""
    listed = [
        f"{NUMBERS[count]} {name if count == 1 else SHAPES[name].plural}"
        for name, count in drawn.counts().items()
    ]
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


def description(drawn: Scene) -> str:
    """Describes a scene in up to three sentences."""
    sentences = [f"The picture shows {article_of(drawn.place)} {drawn.place}."]
    sentences.append(f"There are {inventory(drawn)}.")
    if related(drawn):
        first, where, second = related(drawn)[0]
        phrase = PHRASES[where] + (" of" if where in ("left", "right") else "")
        sentences.append(f"The {first.name} is {phrase} the {second.name}.")
    return " ".join(sentences)
