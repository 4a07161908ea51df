"""Yes-no questions of which none tells the answer of another.

A small model learns these last, and from rows that ask about a thing more than once not at all:
where it has read that there are two dogs, it need not look whether there are three.
"""

from __future__ import annotations

from collavo.datasets.miniature.benchmarks import mme
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import related
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.training.turns import Said, either

MOST = 5
"""The largest number that is asked for as the right one."""

ONES, OTHERS = 1, 2
"""Classes that are asked about, of those with one thing and of those with each other number: so
that the question for two, whose wrong ones are classes of one, is not nearly always wrong."""


def sides_and_colors(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks on which side of another things are, and for a colour; nothing where no sides are clear.

    In each direction the pairs form no ring, so that none follows from the others.
    """
    found: list[Said] = []
    compared: set[tuple[str, bool]] = set()
    for first, where, second in dice.shuffled(related(drawn)):
        across = where in ("left", "right")
        both = {(first.name, across), (second.name, across)}
        if not both <= compared:
            compared |= both
            found.append(either(*mme.position_pair(first, where, second), dice))
    if not found:
        return []
    pair = mme.ask_color(drawn, 0, dice)
    return dice.shuffled([*found, *([either(*pair, dice)] if pair is not None else [])])


def numbers(drawn: Scene, dice: Dice) -> list[Said]:
    """Asks how many there are of some classes: of each number that occurs."""
    counts = drawn.counts()
    names: list[str] = []
    for number in range(1, MOST + 1):
        so_many = [name for name, count in counts.items() if count == number]
        names += dice.sample(so_many, ONES if number == 1 else OTHERS)
    pairs = [mme.count_pair(name, counts[name], dice) for name in names]
    return dice.shuffled([either(*pair, dice) for pair in pairs])
