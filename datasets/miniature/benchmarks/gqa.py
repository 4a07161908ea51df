"""GQA in miniature: at least eight questions an image, with types, programs and what they entail.

Source of the layout: Hudson and Manning, 2019, arXiv:1902.09506.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import TEXTS, Asked, article_of, ask, related, worded
from collavo.datasets.miniature.scenes import Scene

IMAGES = 5

TYPES = {
    "exists": ("verify", "obj", "existC"),
    "absent": ("verify", "obj", "existC"),
    "color": ("query", "attr", "directOf"),
    "has_color": ("verify", "attr", "verifyAttr"),
    "not_color": ("verify", "attr", "verifyAttr"),
    "choose_color": ("choose", "attr", "chooseAttr"),
    "side": ("query", "attr", "positionQuery"),
    "relation": ("choose", "rel", "relChooser"),
    "both": ("logical", "obj", "existAndC"),
    "either": ("logical", "obj", "existOrC"),
    "place": ("query", "global", "place"),
    "is_place": ("verify", "global", "placeVerify"),
}
"""What structural, semantic and detailed type each kind has."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `GQA/testdev_balanced_questions.json` and `GQA/images`."""
    gallery = Gallery(root / "GQA" / "images", 2)
    questions: dict[str, Any] = {}
    for drawn in gallery.scenes(IMAGES):
        gallery.put(f"n{drawn.seed}.jpg", drawn)
        listed = questions_about(drawn, Dice(drawn.seed))
        keys = [f"20{drawn.seed % 10**6:06d}{number:02d}" for number in range(len(listed))]
        for key, asked in zip(keys, listed, strict=True):
            named = dict(zip(keys, listed, strict=True))
            questions[key] = _record(drawn, asked, key, _entailed(asked, named))
    write_json(root / "GQA" / "testdev_balanced_questions.json", questions)
    return gallery.entries


def questions_about(drawn: Scene, dice: Dice) -> list[Asked]:
    """Returns eight questions that every scene has, and those that its objects give besides."""
    present = dice.sample(list(drawn.counts()), 2)
    gone, other = dice.sample(drawn.absent(), 2)
    found = [_exists(name, name in present) for name in (*present, gone, other)]
    found += [
        _logical("both", present, True),
        _logical("both", [present[0], gone], False),
        _logical("either", [other, present[1]], True),
    ]
    place = ask("place", drawn, dice)
    assert place is not None, "every scene has a place"
    is_place = f"Is it {article_of(drawn.place)} {drawn.place} that the picture shows?"
    found += [place, Asked("is_place", is_place, "yes", ("no",))]
    seed = dice.integer(0, 10**6)  # the same colour in all three questions about it
    color, has = (ask(kind, drawn, Dice(seed)) for kind in ("color", "has_color"))
    if color and has:
        wrong = dice.choice(color.wrong)
        listed = " or ".join(dice.shuffled([color.answer, wrong]))
        choose = f"Is the {color.about[0]} {listed}?"
        found += [color, has, Asked("choose_color", choose, color.answer, (wrong,), has.about)]
    sides = [pair for where in ("left", "right") for pair in related(drawn, where)]
    if sides:
        first, where, second = dice.choice(sides)
        text = f"Is the {first.name} to the left or to the right of the {second.name}?"
        wrong = "right" if where == "left" else "left"
        found.append(Asked("relation", text, where, (wrong,), (first.name, second.name)))
    return found + [asked for asked in [ask("side", drawn, dice)] if asked]


def _exists(name: str, right: bool) -> Asked:
    kind, answer, wrong = ("exists", "yes", "no") if right else ("absent", "no", "yes")
    return Asked(kind, worded(TEXTS[kind], (name,)), answer, (wrong,), (name,))


def _logical(kind: str, names: Sequence[str], right: bool) -> Asked:
    first, second = (f"{article_of(name)} {name}" for name in names)
    if kind == "both":
        text = f"Are there both {first} and {second} in the picture?"
    else:
        text = f"Is there either {first} or {second} in the picture?"
    answer, wrong = ("yes", "no") if right else ("no", "yes")
    return Asked(kind, text, answer, (wrong,), tuple(names))


def _entailed(asked: Asked, named: Mapping[str, Asked]) -> list[str]:
    """The keys of questions whose answers follow from that of `asked`, and its own."""
    follows = {
        "color": ("has_color", "choose_color"),
        "has_color": ("color", "choose_color"),
        "choose_color": ("color", "has_color"),
        "place": ("is_place",),
    }.get(asked.kind, ())
    return [key for key, other in named.items() if other is asked or other.kind in follows]


def _record(drawn: Scene, asked: Asked, key: str, entailed: list[str]) -> dict[str, Any]:
    structural, semantic, detailed = TYPES[asked.kind]
    names = [name for name in asked.about if name in drawn.counts()]
    steps = [("select", f"{name} ({100 + k})") for k, name in enumerate(names or ["scene"])]
    last = {"verify": "verify", "choose": "choose", "logical": "exist"}.get(structural, "query")
    steps.append((last, asked.answer if last == "query" else "?"))
    program = [
        {"operation": operation, "dependencies": [k - 1] if k else [], "argument": argument}
        for k, (operation, argument) in enumerate(steps)
    ]
    group = {"color": "color", "place": "place"}.get(asked.kind)
    full = {"yes": "Yes, it is so.", "no": "No, it is not so."}
    return {
        "semantic": program,
        "entailed": entailed,
        "equivalent": [key],
        "question": asked.text,
        "imageId": f"n{drawn.seed}",
        "isBalanced": True,
        "groups": {"global": group, "local": f"{len(steps)}-{'_'.join(names) or 'scene'}"},
        "answer": asked.answer,
        "semanticStr": "->".join(f"{a}: {b}" for a, b in steps),
        "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
        "types": {"detailed": detailed, "semantic": semantic, "structural": structural},
        "fullAnswer": full.get(asked.answer, f"The answer is {asked.answer}."),
    }
