"""Questions of which none tells the answer of another.

A small model learns these last, and from rows that ask about a thing more than once not at all:
where it has read that there are two dogs, it need not look whether there are three. Half of the
questions are not for a yes but for the number or the side itself, from which more is learnt.
"""

from __future__ import annotations

from collavo.datasets.miniature.benchmarks import mme
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import PHRASES, TEXTS, related
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training.drills import places
from collavo.datasets.miniature.training.turns import SHORT_ANSWER, Said, either

MOST = 5
"""The largest number that is asked for as the right one."""

ONES, OTHERS = 1, 2
"""Classes that are asked about, of those with one thing and of those with each other number: so
that the question for two, whose wrong ones are classes of one, is not nearly always wrong."""


def sides_and_colors(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, and for a colour; nothing without clear sides."""
    found = sides(drawn, dice)
    if not found:
        return []
    pair = mme.ask_color(drawn, 0, dice)
    return dice.shuffled([*found, *([either(*pair, dice)] if pair is not None else [])])


def sides(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are.

    In each direction the pairs form no ring, so that none follows from the others.
    """
    found: list[Said] = []
    compared: set[tuple[str, bool]] = set()
    for first, where, second in dice.shuffled(related(drawn)):
        across = where in ("left", "right")
        both = {(first.name, across), (second.name, across)}
        if not both <= compared:
            compared |= both
            found.append(_side(first, where, second, dice))
    return found


def _side(first: Thing, where: str, second: Thing, dice: Dice) -> Said:
    if dice.chance(0.5):
        asked = TEXTS["relation"].format(first.name, second.name)
        return asked + SHORT_ANSWER, PHRASES[where]
    return either(*mme.position_pair(first, where, second), dice)


def sides_and_places(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, then often in which part of the picture."""
    last = places(drawn, dice) if dice.chance(0.5) else None
    return [*sides(drawn, dice), *([last] if last is not None else [])]


def numbers(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks how many there are of some classes, of each number; nothing where all is one."""
    counts = drawn.counts()
    if max(counts.values()) == 1:
        return []
    names: list[str] = []
    for number in range(1, MOST + 1):
        so_many = [name for name, count in counts.items() if count == number]
        names += dice.sample(so_many, ONES if number == 1 else OTHERS)
    return dice.shuffled([_number(name, counts[name], dice) for name in names])


def _number(name: str, count: int, dice: Dice) -> Said:
    if dice.chance(0.5):
        return TEXTS["count"].format(plural=SHAPES[name].plural) + SHORT_ANSWER, str(count)
    return either(*mme.count_pair(name, count, dice), dice)
