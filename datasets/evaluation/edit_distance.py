"""The Levenshtein distance of two texts."""

from __future__ import annotations


def edit_distance(first: str, second: str) -> int:
    """Counts the insertions, deletions and replacements that turn one text into the other.

    Bit-parallel, one step a character of the longer text. Source: Myers, 1999, "A fast bit-vector
    algorithm for approximate string matching", in the form of Hyyrö, 2003.
    """
    if len(first) > len(second):
        first, second = second, first
    if not first:
        return len(second)
    places: dict[str, int] = {}
    for position, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << position
    full, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    plus, minus, distance = full, 0, len(first)
    for character in second:
        here = places.get(character, 0)
        diagonal = (((here & plus) + plus) ^ plus) | here | minus
        grown = minus | (~(diagonal | plus) & full)
        shrunk = plus & diagonal
        distance += bool(grown & last) - bool(shrunk & last)
        grown = (grown << 1 | 1) & full
        shrunk = (shrunk << 1) & full
        plus = shrunk | (~(diagonal | grown) & full)
        minus = grown & diagonal
    return distance


def nearest(text: str, choices: list[str]) -> str:
    """Returns the choice at the least distance, the first of several.

    Raises:
        ValueError: There is no choice.
    """
    return min(choices, key=lambda choice: edit_distance(text, choice))
