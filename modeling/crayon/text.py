"""The sentence of the Crayon Prompt: class, number, box of each object (arXiv 2402.11248)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NO_OBJECTS = "None of detailed object information for image."
"""Source: CoLLaVO commit fb419fa, collavo/arch/arch_collavo.py."""


@dataclass(frozen=True)
class CrayonObject:
    """One object as the sentence names it.

    Args:
        name: The cleaned class name.
        number: 1 for the first object of its class, not limited to what the number map can hold.
        box: x1, y1, x2, y2 in [0, 1] of the image's width and height.
    """

    name: str
    number: int
    box: tuple[float, float, float, float]


def crayon_sentence(objects: Sequence[CrayonObject], numbered: bool = True) -> str:
    """Returns the sentence about the objects of one image.

    Args:
        objects: In the order of their segments' ids.
        numbered: Whether the objects' numbers stand in it ("#2 dog") or not ("dog").

    Source: CoLLaVO commit fb419fa, collavo/utils/utils.py (`classesboxes2string`).
    """
    if not objects:
        return NO_OBJECTS
    return f"The image includes {', '.join(object_phrase(o, numbered) for o in objects)}."


def object_phrase(item: CrayonObject, numbered: bool = True, boxed: bool = True) -> str:
    """Returns one object as the sentence names it: "(#2 dog) [0.06, 0.38, 0.27, 0.91]".

    Args:
        item: The object.
        numbered: Whether its number stands there.
        boxed: Whether its box does.
    """
    name = f"#{item.number} {item.name}" if numbered else item.name
    if not boxed:
        return f"({name})"
    return f"({name}) [{object_box(item)}]"


def object_box(item: CrayonObject) -> str:
    """Returns an object's box as the sentence gives it: "0.06, 0.38, 0.27, 0.91"."""
    return ", ".join(f"{round(edge, 2):.2f}" for edge in item.box)
