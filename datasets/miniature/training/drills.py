"""Questions that ask the same of many things at once: many short answers for one picture.

A yes or no is little to learn from; a list of counts, colours or sides is learnt from at every
word. What is asked stands in the answer again, in the words of the questions for single things, and
what is answered right behind it: from there it is soonest looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from collavo.datasets.miniature.benchmarks import mme
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import alone, related
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.shapes.catalog import SHAPES

Said = tuple[str, str]
"""What is asked, and the answer."""

ABSENT = 6
"""How many classes that are not there are asked for among those that are."""

PRESENT = 4
"""How many classes that are there are asked for, at the most, where none is counted."""

COUNTING = 0.6
"""How often classes are counted, not only told to be there or not."""

PAIRS = 5
"""How many pairs of things are asked about at the most."""

CLEARLY = 0.08
"""How far from the middle, in widths of the picture, a thing is in one half of it."""


def classes(drawn: Scene, dice: Dice) -> Said:
    """Asks of several classes, some of which are not there, for their numbers or whether they are.

    They are named in the singular, as a list of objects names them: looking up the same word is
    learnt first, and what sees is what looks up a class's word among the patches.
    """
    ask = counts if dice.chance(COUNTING) else presence
    return ask(drawn, dice)


def counts(drawn: Scene, dice: Dice, plural: bool = False) -> Said:
    """Asks for the number of each of several classes, some of which are not there."""
    found = drawn.counts()
    names = dice.shuffled([*found, *dice.sample(drawn.absent(), ABSENT)])
    words = [SHAPES[name].plural if plural else name for name in names]
    numbers = (str(found.get(name, 0)) for name in names)
    answer = each(zip(words, numbers, strict=True))
    return f"How many of each are there in the picture: {', '.join(words)}?", answer


def presence(drawn: Scene, dice: Dice) -> Said:
    """Asks which of several classes are there, about as many as are not."""
    found = dice.sample(list(drawn.counts()), PRESENT)
    names = dice.shuffled([*found, *dice.sample(drawn.absent(), PRESENT)])
    answer = each((name, "yes" if name in found else "no") for name in names)
    return f"Which of these are in the picture: {', '.join(names)}?", answer


def colors(drawn: Scene, dice: Dice) -> Said | None:
    """Asks for the colours of each class that is named by its colour."""
    named = [n for n in drawn.counts() if SHAPES[n].named and len(SHAPES[n].colors) > 1]
    if not named:
        return None
    names = dice.shuffled(named)
    listed = (" and ".join(sorted({t.color for t in drawn.of(name)})) for name in names)
    answer = each(zip(names, listed, strict=True))
    return f"What colors are these in the picture: {', '.join(names)}?", answer


def judged(pairs: Sequence[mme.Pair], dice: Dice) -> Said:
    """Asks of several of MME's questions at once, the right or the wrong ones, what is true."""
    asked = [(right, "yes") if dice.chance(0.5) else (wrong, "no") for right, wrong in pairs]
    said = [(_statement(question), answer) for question, answer in asked]
    answers = ", ".join(f"{statement} {answer}" for statement, answer in said)
    return f"What is true: {', '.join(statement for statement, _ in said)}?", answers.capitalize()


def _statement(question: str) -> str:
    """What a question asks for: "two dogs", "the dog on the left of the cat"."""
    asked = re.fullmatch(r"(?:Is there|Are there|Is) (.+) in the image\?", question)
    assert asked is not None, question
    return asked[1]


def sides(drawn: Scene, dice: Dice) -> Said | None:
    """Asks where things are, seen from others; the side follows on both names."""
    pairs = independent(drawn, dice)[:PAIRS]
    if not pairs:
        return None
    asked = ", ".join(f"{first.name} from {second.name}" for first, _, second in pairs)
    answer = ", ".join(
        f"from the {other.name} the {first.name} {where}" for first, where, other in pairs
    )
    return f"On which side is the one, seen from the other: {asked}?", answer.capitalize()


def independent(drawn: Scene, dice: Dice) -> list[tuple[Thing, str, Thing]]:
    """Returns pairs of things and on which side the first is, seen from the second.

    In each direction the pairs form no ring, so that none follows from the others.
    """
    found: list[tuple[Thing, str, Thing]] = []
    compared: set[tuple[str, bool]] = set()
    for first, where, second in dice.shuffled(related(drawn)):
        across = where in ("left", "right")
        both = {(first.name, across), (second.name, across)}
        if not both <= compared:
            compared |= both
            found.append((first, where, second))
    return found


def halves(drawn: Scene, dice: Dice) -> Said | None:
    """Asks in which half of the picture each thing is that is alone in its class."""
    shares = [(thing, thing.center[0] / drawn.image.width) for thing in dice.shuffled(alone(drawn))]
    clear = [(thing, share) for thing, share in shares if abs(share - 0.5) > CLEARLY]
    if not clear:
        return None
    names = ", ".join(thing.name for thing, _ in clear)
    answer = each((thing.name, "left" if share < 0.5 else "right") for thing, share in clear)
    return f"On which side of the picture are these: {names}?", answer


def each(said: Iterable[tuple[str, str]]) -> str:
    """Says one word of each class right behind its name, from where it is soonest looked up."""
    return ", ".join(f"the {name} {word}" for name, word in said).capitalize()


def places(drawn: Scene, dice: Dice) -> Said | None:
    """Asks in which ninth of the picture each thing is that is alone in its class."""
    things = dice.shuffled(alone(drawn))
    if not things:
        return None
    names = ", ".join(thing.name for thing in things)
    answer = each((thing.name, _ninth(thing, drawn)) for thing in things)
    return f"Where in the picture are these: {names}?", answer


def _ninth(thing: Thing, drawn: Scene) -> str:
    x, y = thing.center
    across = ("left", "middle", "right")[min(2, int(3 * x / drawn.image.width))]
    down = ("top", "middle", "bottom")[min(2, int(3 * y / drawn.image.height))]
    return f"{down} {across}"


DRILLS: tuple[tuple[Callable[[Scene, Dice], Said | None], float], ...] = (
    (classes, 0.9),
    (colors, 0.7),
    (sides, 0.7),
    (halves, 0.5),
    (places, 0.5),
)
"""What is asked, and how often in a conversation."""


TOLD_DRILLS = tuple((make, share) for make, share in DRILLS if make is not colors)
"""Those that can be answered where a scene is told, not shown."""


def drills_about(
    drawn: Scene,
    dice: Dice,
    drills: Sequence[tuple[Callable[[Scene, Dice], Said | None], float]] = DRILLS,
) -> list[Said]:
    """Returns up to one question of each kind with its answer."""
    made = [make(drawn, dice) if dice.chance(share) else None for make, share in drills]
    return dice.shuffled([said for said in made if said is not None])
