"""Questions of which none tells the answer of another.

A small model learns these last, and from rows that ask about a thing more than once not at all:
where it has read that there are two dogs, it need not look whether there are three. Most of
the questions are for the number or the side itself, from which more is learnt than from a yes, and
some rows ask for all at once.
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

EITHER = ("above or under", "on the left or on the right of")
"""Sides to choose from, downwards and across."""

AT_ONCE = 0.4
"""How often all that a row asks for is asked for at once."""

JUDGED = 0.75
"""How many of a told row's pairs are asked about for a yes or a no."""

UPRIGHT = 0.4
"""How many of the pairs above or under each other such a row keeps: a small model learns them long
before left and right."""


def sides_and_colors(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, and for a colour; nothing without clear sides."""
    found = drills.independent(drawn, dice)
    if not found:
        return []
    pair = mme.ask_color(drawn, 0, dice)
    colors = [pair] if pair is not None else []
    if dice.chance(AT_ONCE):
        positions = [mme.position_pair(*triple) for triple in found]
        return [drills.judged(dice.shuffled([*positions, *colors]), dice)]
    singles = [_side(*triple, dice) for triple in found]
    return dice.shuffled([*singles, *(either(*color, dice) for color in colors)])


def _side(first: Thing, where: str, second: Thing, dice: Dice) -> Said:
    """Asks in one of three ways, of which each is learnt more easily after the one before."""
    way = dice.integer(0, 2)
    if way == 0:
        asked = TEXTS["relation"].format(first.name, second.name)
        return asked + SHORT_ANSWER, PHRASES[where]
    if way == 1:
        return which_side(first, where, second)
    return either(*mme.position_pair(first, where, second), dice)


def which_side(first: Thing, where: str, second: Thing) -> Said:
    """Asks on which of two opposite sides of another a thing is."""
    sides = EITHER[where in ("left", "right")]
    return f"Is the {first.name} {sides} the {second.name} in the image?{SHORT_ANSWER}", where


def told_sides(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks about sides in one way: of all things at once, of single ones, or of pairs."""
    way = dice.choice((_all_sides, _all_sides, _sides_of_picture, _sides, _sides))
    return way(drawn, dice)


def _all_sides(drawn: Scene, dice: Dice) -> list[Said]:
    said = dice.choice((drills.halves, drills.sides, drills.places))(drawn, dice)
    return [said] if said is not None else []


def _sides(drawn: Scene, dice: Dice) -> list[Said]:
    found = drills.independent(drawn, dice)
    if found and dice.chance(AT_ONCE):
        return [drills.judged([mme.position_pair(*triple) for triple in found], dice)]
    return [_side(*triple, dice) for triple in found]


def told_pairs(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks of one pair after another on which side the one is, mostly for a yes or a no."""
    found = [
        triple
        for triple in drills.independent(drawn, dice)
        if triple[1] in ("left", "right") or dice.chance(UPRIGHT)
    ]
    return [
        either(*mme.position_pair(*triple), dice) if dice.chance(JUDGED) else which_side(*triple)
        for triple in found[: drills.PAIRS]
    ]


def _sides_of_picture(drawn: Scene, dice: Dice) -> list[Said]:
    asked = ask_some(drawn, ("side",), SINGLE, dice)
    return [(one.text + SHORT_ANSWER, one.answer) for one in asked]


def numbers(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks how many there are of some classes, of each number up to the most that is asked for.

    Nothing where all is one.
    """
    counts = drawn.counts()
    if max(counts.values()) == 1:
        return []
    if dice.chance(AT_ONCE / 2):
        return [drills.counts(drawn, dice)]
    names: list[str] = []
    for number in range(1, MOST + 1):
        so_many = [name for name, count in counts.items() if count == number]
        names += dice.sample(so_many, ONES if number == 1 else OTHERS)
    if not names:
        return []
    names = dice.shuffled(names)
    if dice.chance(AT_ONCE / 2):
        return [drills.judged([mme.count_pair(name, counts[name], dice) for name in names], dice)]
    return [_number(name, counts[name], dice) for name in names]


def told_numbers(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks for numbers in a list, often for all at once, in the plural as single questions do.

    The list has the singular. Without such rows, what counted a `dog` did not count `dogs`.
    """
    if dice.chance(AT_ONCE):
        return [drills.counts(drawn, dice, plural=True)]
    return numbers(drawn, dice)


def _number(name: str, count: int, dice: Dice) -> Said:
    if dice.chance(0.5):
        return how_many(name, count)
    return either(*mme.count_pair(name, count, dice), dice)


def how_many(name: str, count: int) -> Said:
    """Asks for the number of a class."""
    return TEXTS["count"].format(plural=SHAPES[name].plural) + SHORT_ANSWER, str(count)
