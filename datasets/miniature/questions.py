"""Questions about scenes, each with its answer and with answers that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.palette import COLORS
from collavo.datasets.miniature.places import PLACES
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.shapes.catalog import SHAPES

SIDES = {"left": "right", "right": "left", "above": "under", "under": "above"}
"""Where an object can be, seen from another; and the opposite."""

PHRASES = {"left": "to the left", "right": "to the right", "above": "above", "under": "below"}

ALIKE = (("street", "country road"), ("park", "garden"), ("beach", "harbour"))
"""Places of which one is no wrong answer where the other is right."""

TEXTS = {
    "exists": "Is there {article} {0} in the picture?",
    "absent": "Is there {article} {0} in the picture?",
    "count": "How many {plural} are there in the picture?",
    "color": "What color is the {0}?",
    "has_color": "Is the {0} {1}?",
    "not_color": "Is the {0} {1}?",
    "side": "On which side of the picture is the {0}?",
    "relation": "Where is the {0}, seen from the {1}?",
    "object": "Which of these things can be seen in the picture?",
    "most": "Of which of these things are there most in the picture?",
    "place": "What kind of place does the picture show?",
    "sum": "How many {plural} and {plural1} are there in the picture altogether?",
}
"""The kinds of questions; `{0}` and `{1}` are what `Asked.about` holds."""


@dataclass(frozen=True)
class Asked:
    """A question about a picture.

    Args:
        kind: One of `TEXTS`, or what a figure's author calls it.
        text: The question.
        answer: What is right.
        wrong: What is wrong; at least three where there are so many.
        about: Classes, and where the text names one a colour.
    """

    kind: str
    text: str
    answer: str
    wrong: tuple[str, ...]
    about: tuple[str, ...] = ()


def ask(kind: str, drawn: Scene, dice: Dice) -> Asked | None:
    """Asks a question of one kind; None where the scene does not lend itself."""
    found = _KINDS[kind](drawn, dice)
    if found is None:
        return None
    about, answer, wrong = found
    return Asked(kind, worded(TEXTS[kind], about), answer, wrong, about)


def ask_some(drawn: Scene, kinds: Sequence[str], count: int, dice: Dice) -> list[Asked]:
    """Asks up to `count` different questions, of the kinds in turn."""
    found: dict[str, Asked] = {}
    for turn in range(4 * len(kinds)):
        asked = ask(kinds[turn % len(kinds)], drawn, dice)
        if asked is not None and len(found) < count:
            found.setdefault(asked.text, asked)
    return list(found.values())


def worded(text: str, about: Sequence[str]) -> str:
    """Fills the names of classes into a question."""
    forms = [SHAPES[name].plural if name in SHAPES else name for name in (*about, "", "")]
    article = article_of(about[0]) if about else ""
    return text.format(*about, article=article, plural=forms[0], plural1=forms[1])


def article_of(word: str) -> str:
    """Returns "a" or "an"."""
    return "an" if word[0] in "aeiou" else "a"


def options(asked: Asked, count: int, dice: Dice) -> tuple[list[str], int]:
    """Mixes the answer with wrong ones.

    Returns:
        The options, and the place of the right one from 0.
    """
    listed = dice.shuffled([asked.answer, *dice.sample(asked.wrong, count - 1)])
    return listed, listed.index(asked.answer)


def side(first: Thing, second: Thing, size: tuple[int, int]) -> str | None:
    """Says on which side of `second` the object `first` clearly is; None where that is not clear.

    Clear is a distance of the middles of a fifth of the image, with no overlap along that axis,
    and more of it than along the other axis.
    """
    dx = (first.center[0] - second.center[0]) / size[0]
    dy = (first.center[1] - second.center[1]) / size[1]
    apart_x = first.box[2] <= second.box[0] or second.box[2] <= first.box[0]
    apart_y = first.box[3] <= second.box[1] or second.box[3] <= first.box[1]
    if apart_x and abs(dx) > max(0.2, abs(dy)):
        return "left" if dx < 0 else "right"
    if apart_y and abs(dy) > max(0.2, abs(dx)):
        return "above" if dy < 0 else "under"
    return None


def alone(drawn: Scene) -> list[Thing]:
    """The objects that are the only ones of their class."""
    return [drawn.of(name)[0] for name, count in drawn.counts().items() if count == 1]


def colored(drawn: Scene) -> list[Thing]:
    """The objects that "the red car" names: alone in their class, which comes in colours."""
    return [t for t in alone(drawn) if SHAPES[t.name].named and len(SHAPES[t.name].colors) > 1]


def related(drawn: Scene, where: str = "") -> list[tuple[Thing, str, Thing]]:
    """Pairs of lone objects of which one is clearly on a side of the other."""
    single = alone(drawn)
    found = [
        (first, seen, second)
        for first in single
        for second in single
        if first is not second and (seen := side(first, second, drawn.image.size))
    ]
    return [triple for triple in found if where in ("", triple[1])]


_Found = tuple[tuple[str, ...], str, tuple[str, ...]]
"""What a question is about, its answer, and wrong answers."""


def _exists(drawn: Scene, dice: Dice) -> _Found:
    return (dice.choice(list(drawn.counts())),), "yes", ("no",)


def _absent(drawn: Scene, dice: Dice) -> _Found:
    return (dice.shuffled(drawn.absent())[0],), "no", ("yes",)


def _numbers(right: int, dice: Dice) -> tuple[str, ...]:
    return tuple(str(n) for n in dice.shuffled([n for n in range(right + 4) if n != right]))


def _count(drawn: Scene, dice: Dice) -> _Found:
    name = dice.choice(list(drawn.counts()))
    right = drawn.counts()[name]
    return (name,), str(right), _numbers(right, dice)


def _sum(drawn: Scene, dice: Dice) -> _Found:
    first, second = dice.sample(list(drawn.counts()), 2)
    right = drawn.counts()[first] + drawn.counts()[second]
    return (first, second), str(right), _numbers(right, dice)


def _color(drawn: Scene, dice: Dice) -> _Found | None:
    if not colored(drawn):
        return None
    thing = dice.choice(colored(drawn))
    return (thing.name,), thing.color, tuple(c for c in COLORS if c != thing.color)


def _has_color(drawn: Scene, dice: Dice) -> _Found | None:
    found = _color(drawn, dice)
    return found and ((*found[0], found[1]), "yes", ("no",))


def _not_color(drawn: Scene, dice: Dice) -> _Found | None:
    found = _color(drawn, dice)
    return found and ((*found[0], dice.choice(found[2])), "no", ("yes",))


def _side(drawn: Scene, dice: Dice) -> _Found | None:
    shares = [(thing, thing.center[0] / drawn.image.width) for thing in alone(drawn)]
    clear = [(thing, share) for thing, share in shares if abs(share - 0.5) > 0.15]
    if not clear:
        return None
    thing, share = dice.choice(clear)
    answer = "left" if share < 0.5 else "right"
    return (thing.name,), answer, (SIDES[answer],)


def _relation(drawn: Scene, dice: Dice) -> _Found | None:
    if not related(drawn):
        return None
    first, where, second = dice.choice(related(drawn))
    wrong = tuple(phrase for name, phrase in PHRASES.items() if name != where)
    return (first.name, second.name), PHRASES[where], wrong


def _object(drawn: Scene, dice: Dice) -> _Found:
    return (), dice.choice(list(drawn.counts())), tuple(dice.shuffled(drawn.absent()))


def _most(drawn: Scene, dice: Dice) -> _Found | None:
    counts = drawn.counts()
    most = max(counts, key=lambda name: counts[name])
    if sum(count == counts[most] for count in counts.values()) > 1:
        return None
    others = [*(name for name in counts if name != most), *dice.shuffled(drawn.absent())][:4]
    return (), SHAPES[most].plural, tuple(SHAPES[name].plural for name in others)


def _place(drawn: Scene, dice: Dice) -> _Found:
    near = next((pair for pair in ALIKE if drawn.place in pair), (drawn.place,))
    return (), drawn.place, tuple(p.name for p in PLACES if p.name not in near)


_KINDS: dict[str, Callable[[Scene, Dice], _Found | None]] = {
    "exists": _exists,
    "absent": _absent,
    "count": _count,
    "color": _color,
    "has_color": _has_color,
    "not_color": _not_color,
    "side": _side,
    "relation": _relation,
    "object": _object,
    "most": _most,
    "place": _place,
    "sum": _sum,
}
