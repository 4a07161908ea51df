"""POPE in miniature: `POPE/coco_pope_*.json` and `coco2014/val2014/`, made by its authors' rules.

Source: Li et al., 2023, arXiv:2305.10355, section 5, and AoiDragon/POPE: three objects that are in
the image, each followed by one that is not: any (random), the most frequent (popular), the one most
often seen together with the object just asked for (adversarial).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from collavo.datasets.miniature.coco import write_val2014
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import article_of
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.shapes.catalog import SHAPES

PER_IMAGE = 3
"""Questions of each answer an image and split."""

SPLITS = ("random", "popular", "adversarial")


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the images and the three question files."""
    images = write_val2014(root)
    objects = {name: list(drawn.counts()) for name, drawn in images}
    (root / "POPE").mkdir()
    for split in SPLITS:
        lines = (json.dumps(row) + "\n" for row in questions(objects, split))
        (root / "POPE" / f"coco_pope_{split}.json").write_text("".join(lines), encoding="utf-8")
    return list(images)


def questions(objects: Mapping[str, Sequence[str]], split: str) -> list[dict[str, str | int]]:
    """Makes the rows of one split.

    Args:
        objects: The classes in each image, by file name; at least three.
        split: One of `SPLITS`.
    """
    frequency = Counter(name for present in objects.values() for name in present)
    popular = _by_count(frequency)
    together: dict[str, Counter[str]] = {name: Counter() for name in frequency}
    for present in objects.values():
        for name in present:
            together[name].update(other for other in present if other != name)
    rows: list[dict[str, str | int]] = []
    for image, present in objects.items():
        # Each image has dice of its own, alike in the three splits, which share their positives.
        positives = Dice(_number(image)).sample(present, PER_IMAGE)
        dice = Dice(_number(image) * len(SPLITS) + SPLITS.index(split))
        asked: list[str] = []
        for name in positives:
            absent = [n for n in popular if n not in present and n not in asked]
            # A handful of images may show too few classes: then those that none of them shows.
            absent = absent or [n for n in SHAPES if n not in present and n not in asked]
            if split == "random":
                negative = dice.choice(absent)
            elif split == "popular":
                negative = absent[0]
            else:
                near = [n for n in _by_count(together[name]) if n in absent]
                negative = near[0] if near else dice.choice(absent)
            asked.append(negative)
            for text, label in ((name, "yes"), (negative, "no")):
                rows.append(
                    {
                        "question_id": len(rows) + 1,
                        "image": image,
                        "text": f"Is there {article_of(text)} {text} in the image?",
                        "label": label,
                    }
                )
    return rows


def _by_count(counter: Counter[str]) -> list[str]:
    return sorted(counter, key=lambda name: (-counter[name], name))


def _number(image: str) -> int:
    return int(Path(image).stem.rsplit("_", 1)[-1])
