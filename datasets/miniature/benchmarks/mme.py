"""MME in miniature: the official tree of 14 tasks, with one Yes and one No question an image.

Source of the layout and of the ways to ask: Fu et al., 2023, arXiv:2306.13394, and the question
files of its evaluation tool. Five tasks are asked about scenes, nine about drawn figures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.drawing import save
from collavo.datasets.miniature.figures import FIGURES
from collavo.datasets.miniature.places import PLACES
from collavo.datasets.miniature.questions import SIDES, article_of, related
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, Scene, Thing, scene, unlabelled
from collavo.datasets.miniature.shapes.catalog import SHAPES

FIRST_SEED = EVALUATION_SEEDS[10_001]
SCENES_A_TASK = 30
"""Images of each task that is asked about scenes."""

NESTED = ("artwork", "celebrity", "landmark", "posters", "scene")
"""The tasks whose images and questions lie in folders of their own."""

ENDING = "Please answer yes or no."
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")

Pair = tuple[str, str]
"""A question to be answered Yes, and one to be answered No."""

Ask = Callable[[Scene, int, Dice], Pair | None]
"""Makes the questions about a scene as the n-th of a task; None where it does not lend itself."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the tree `MME_Benchmark_release_version`."""
    base = root / "MME_Benchmark_release_version"
    seed, drawn = FIRST_SEED, []
    for task, ask in SCENE_TASKS.items():
        for turn in range(SCENES_A_TASK):
            current, pair = _first(ask, turn, seed)
            seed = current.seed + 1
            name = f"{current.seed:012d}"
            _save(base, task, name, ".jpg", current.image, pair)
            drawn.append((f"{name}.jpg", current))
    for index, (task, figures) in enumerate(FIGURES.items()):
        ending = ".jpg" if task in (*NESTED, "OCR") else ".png"
        for number, (image, pair) in enumerate(figures()):
            name = f"{index + 1:02d}{number + 1:02d}"
            _save(base, task, name, ending, image, pair)
            drawn.append((name + ending, unlabelled(int(name), image)))
    return drawn


def _first(ask: Ask, turn: int, seed: int) -> tuple[Scene, Pair]:
    """Finds the first scene from `seed` on that the question can be asked about."""
    while True:
        current = scene(seed)
        pair = ask(current, turn, Dice(seed))
        if pair is not None:
            return current, pair
        seed += 1


def _save(base: Path, task: str, name: str, ending: str, image: Image.Image, pair: Pair) -> None:
    pictures = base / task / "images" if task in NESTED else base / task
    texts = base / task / "questions_answers_YN" if task in NESTED else base / task
    for folder in (pictures, texts):
        folder.mkdir(parents=True, exist_ok=True)
    save(image, pictures / (name + ending))
    lines = (f"{q} {ENDING}\t{a}\n" for q, a in zip(pair, ("Yes", "No"), strict=True))
    (texts / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def ask_existence(drawn: Scene, turn: int, dice: Dice) -> Pair | None:
    """Asks for a class that is there, and for one that is not."""
    present = dice.choice(list(drawn.counts()))
    absent = dice.choice(drawn.absent())
    return f"Is there a {present} in this image?", f"Is there a {absent} in this image?"


def ask_count(drawn: Scene, turn: int, dice: Dice) -> Pair | None:
    """Asks for the right number of a class, and for one more or one less."""
    wanted = 1 + turn % 5
    names = [name for name, count in drawn.counts().items() if count == wanted]
    if not names:
        return None
    return count_pair(dice.choice(names), wanted, dice)


def count_pair(name: str, count: int, dice: Dice) -> Pair:
    """Asks for the number of a class, and for one more or one less."""
    wrong = count + (1 if count == 1 or dice.chance(0.5) else -1)
    return _count_question(name, count), _count_question(name, wrong)


def _count_question(name: str, count: int) -> str:
    if count == 1:
        return f"Is there only one {name} in the image?"
    return f"Are there {NUMBERS[count]} {SHAPES[name].plural} in the image?"


def ask_position(drawn: Scene, turn: int, dice: Dice) -> Pair | None:
    """Asks on which side of another an object is, both the only ones of their class."""
    wanted = list(SIDES)[turn % len(SIDES)]
    found = related(drawn, wanted)
    if not found:
        return None
    first, _, second = dice.choice(found)
    return position_pair(first, wanted, second)


def position_pair(first: Thing, where: str, second: Thing) -> Pair:
    """Asks for the side of another object on which one is, and for the opposite."""
    return (
        _position_question(first.name, where, second.name),
        _position_question(first.name, SIDES[where], second.name),
    )


def _position_question(name: str, where: str, other: str) -> str:
    words = f"on the {where} of" if where in ("left", "right") else where
    return f"Is the {name} {words} the {other} in the image?"


def ask_color(drawn: Scene, turn: int, dice: Dice) -> Pair | None:
    """Asks for a colour that an object of a class has, and for one that none of them has."""
    things = [t for t in drawn.things if SHAPES[t.name].named and len(SHAPES[t.name].colors) > 1]
    return color_pair(drawn, dice.choice(things), dice) if things else None


def color_pair(drawn: Scene, thing: Thing, dice: Dice) -> Pair | None:
    """Asks for the object's colour, and for one that none of its class has."""
    seen = {other.color for other in drawn.of(thing.name)}
    others = [color for color in SHAPES[thing.name].colors if color not in seen]
    if not others:
        return None
    wrong = dice.choice(others)
    return _color_question(thing.color, thing.name), _color_question(wrong, thing.name)


def _color_question(color: str, name: str) -> str:
    return f"Is there {article_of(color)} {color} {name} in the image?"


def ask_scene(drawn: Scene, turn: int, dice: Dice) -> Pair | None:
    """Asks what place the scene shows."""
    if drawn.place != PLACES[turn % len(PLACES)].name:
        return None
    other = dice.choice([place.name for place in PLACES if place.name != drawn.place])
    words = dice.choice(("Is this picture captured in", "Does this image describe"))
    return f"{words} a place of {drawn.place}?", f"{words} a place of {other}?"


SCENE_TASKS: dict[str, Ask] = {
    "existence": ask_existence,
    "count": ask_count,
    "position": ask_position,
    "color": ask_color,
    "scene": ask_scene,
}
