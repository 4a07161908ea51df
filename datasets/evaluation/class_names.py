"""How the class of an object is read from an answer (Box2Class)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from collavo.datasets.evaluation.parsing import Parser
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC
from collavo.registry import PARSERS

THINGS = tuple(c.clean_name for c in COCO_PANOPTIC if c.isthing)

EVERYDAY = {
    "airplane": ("plane", "aeroplane", "jet"),
    "backpack": ("rucksack",),
    "bicycle": ("bike", "cycle"),
    "boat": ("ship",),
    "bus": ("coach",),
    "car": ("automobile", "sedan", "suv"),
    "cat": ("kitten",),
    "cell phone": ("phone", "mobile phone", "smartphone", "cellphone", "mobile"),
    "couch": ("sofa", "settee"),
    "cow": ("cattle", "bull", "calf"),
    "dining table": ("table",),
    "dog": ("puppy",),
    "donut": ("doughnut",),
    "fire hydrant": ("hydrant",),
    "frisbee": ("flying disc",),
    "hair drier": ("hair dryer", "hairdryer", "blow dryer"),
    "handbag": ("purse",),
    "hot dog": ("hotdog",),
    "knife": ("knives",),
    "laptop": ("notebook computer", "laptop computer"),
    "microwave": ("microwave oven",),
    "motorcycle": ("motorbike", "scooter", "moped"),
    "mouse": ("computer mouse", "mice"),
    "oven": ("stove",),
    "person": ("people", "man", "men", "woman", "women", "boy", "girl", "child", "children",
               "human", "lady", "guy", "baby", "kid"),
    "potted plant": ("plant", "houseplant"),
    "refrigerator": ("fridge",),
    "remote": ("remote control",),
    "sheep": ("lamb",),
    "sports ball": ("ball", "football", "soccer ball", "basketball", "baseball", "tennis ball"),
    "suitcase": ("luggage",),
    "surfboard": ("surf board",),
    "teddy bear": ("teddy", "stuffed bear", "stuffed animal"),
    "tie": ("necktie",),
    "traffic light": ("stoplight", "traffic signal"),
    "tv": ("television", "tv set", "monitor", "tvmonitor"),
    "wine glass": ("wineglass", "goblet"),
}  # fmt: skip
"""What people call COCO's classes besides their names; ours, for the parser "everyday"."""

_WORD = re.compile(r"[a-z0-9]+")


class ClassParser(Parser):
    """Reads which of the classes an answer names.

    Args:
        classes: The names there are; by default COCO's 80 things.
    """

    everyday = False

    def __init__(self, classes: Sequence[str] = THINGS) -> None:
        self.classes = tuple(classes)

    def parse(self, text: str) -> str:
        """Returns the class that is named first, "" for none; longer names come before shorter."""
        words = _WORD.findall(text.lower())
        names, longest = _index(self.classes, self.everyday)
        for start in range(len(words)):
            for count in range(min(longest, len(words) - start), 0, -1):
                found = names.get(tuple(words[start : start + count]))
                if found is not None:
                    return found
        return ""


@PARSERS.register("box2class.official", "box2class.first_name")
class FirstName(ClassParser):
    """The first class name in the answer, as COCO spells it or in the plural."""


@PARSERS.register("box2class.everyday")
class Everyday(ClassParser):
    """As the official rule, everyday words for a class included: sofa for couch, man for person."""

    everyday = True


@PARSERS.register("box2class.exact")
class Exact(ClassParser):
    """The whole answer is the class name, but for case, punctuation and an article."""

    def parse(self, text: str) -> str:
        words = tuple(_WORD.findall(text.lower()))
        if words and words[0] in ("a", "an", "the"):
            words = words[1:]
        spelled = {tuple(_WORD.findall(name.lower())): name for name in self.classes}
        return spelled.get(words, "")


@lru_cache(maxsize=16)
def _index(classes: tuple[str, ...], everyday: bool) -> tuple[dict[tuple[str, ...], str], int]:
    """Every spelling of every class as words, and the number of words of the longest."""
    names: dict[tuple[str, ...], str] = {}
    spelled = [(name, name) for name in classes]
    if everyday:
        spelled += [(word, name) for name in classes for word in EVERYDAY.get(name, ())]
    for word, name in spelled:
        words = tuple(_WORD.findall(word.lower()))
        for form in (words, *(words[:-1] + (last,) for last in _plurals(words[-1:]))):
            if form:
                names.setdefault(form, name)
    return names, max(map(len, names), default=0)


def _plurals(last: Sequence[str]) -> tuple[str, ...]:
    if not last:
        return ()
    word = last[0]
    forms: tuple[str, ...] = (f"{word}s", f"{word}es")
    if word.endswith("y"):
        forms += (f"{word[:-1]}ies",)
    return (*forms, f"{word[:-2]}ves") if word.endswith("fe") else forms
