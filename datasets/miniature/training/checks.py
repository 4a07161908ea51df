"""Questions of which none tells the answer of another.

A small model learns these last, and from rows that ask about a thing more than once not at all:
where it has read that there are two dogs, it need not look whether there are three. Half of the
questions are not for a yes but for the number or the side itself, from which more is learnt.
"""

from __future__ import annotations

from collavo.datasets.miniature.benchmarks import mme
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import PHRASES, TEXTS, ask_some
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training import drills
from collavo.datasets.miniature.training.turns import SHORT_ANSWER, Said, either

MOST = 5
"""The largest number that is asked for as the right one."""

ONES, OTHERS = 1, 2
"""Classes that are asked about, of those with one thing and of those with each other number: so
that the question for two, whose wrong ones are classes of one, is not nearly always wrong."""


SINGLE = 4
"""Things whose side of the picture is asked for, at the most."""


ALL_NUMBERS = 0.3
"""How often all numbers of a told scene are asked for at once."""


def sides_and_colors(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, and for a colour; nothing without clear sides."""
    found = sides(drawn, dice)
    if not found:
        return []
    pair = mme.ask_color(drawn, 0, dice)
    return dice.shuffled([*found, *([either(*pair, dice)] if pair is not None else [])])


def sides(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, of pairs of which none tells another."""
    return [_side(*pair, dice) for pair in drills.independent(drawn, dice)]


def _side(first: Thing, where: str, second: Thing, dice: Dice) -> Said:
    if dice.chance(0.5):
        asked = TEXTS["relation"].format(first.name, second.name)
        return asked + SHORT_ANSWER, PHRASES[where]
    return either(*mme.position_pair(first, where, second), dice)


def told_sides(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks about sides in one way: of all things at once, of single ones, or of pairs."""
    way = dice.choice((_all_sides, _all_sides, _sides_of_picture, sides, sides))
    return way(drawn, dice)


def _all_sides(drawn: Scene, dice: Dice) -> list[Said]:
    said = dice.choice((drills.halves, drills.halves, drills.sides, drills.places))(drawn, dice)
    return [said] if said is not None else []


def _sides_of_picture(drawn: Scene, dice: Dice) -> list[Said]:
    asked = ask_some(drawn, ("side",), SINGLE, dice)
    return [(one.text + SHORT_ANSWER, one.answer) for one in asked]


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


def told_numbers(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks for numbers, of all classes at once or of some that do not tell each other's."""
    return [drills.counts(drawn, dice)] if dice.chance(ALL_NUMBERS) else numbers(drawn, dice)


def _number(name: str, count: int, dice: Dice) -> Said:
    if dice.chance(0.5):
        return TEXTS["count"].format(plural=SHAPES[name].plural) + SHORT_ANSWER, str(count)
    return either(*mme.count_pair(name, count, dice), dice)
