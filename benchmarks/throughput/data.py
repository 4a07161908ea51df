"""Writes the benchmark's images and questions: procedural scenes, questions of each load's kind."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from benchmarks.throughput.plugin import LOADS
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES

YES_NO = " Please answer yes or no."

COLORS = ("red", "green", "blue", "yellow", "black", "white", "brown", "gray")
SIDES = ("left", "right", "top", "bottom")

CHECKS = (
    "Is there a {a} in the image?",
    "Is there only one {a} in the picture?",
    "Are there {number} {a}s in this image?",
    "Is the {a} to the {side} of the {b}?",
    "Is the {a} {color}?",
    "Does the image show a {color} {a} beside a {b}?",
)
"""Questions for yes or no, as MME asks them."""

QUESTIONS = (
    *CHECKS,
    "What is to the {side} of the {a}?",
    "What color is the {a} that is near the {b}?",
    "Which kind of object is {color}, the {a} or the {b}?",
    "On which side of the photo is the {a}, the {side} or the other one?",
    "How many objects are {color} like the {a}?",
)
"""Questions of GQA's kind and length."""


def build(folder: Path, questions: dict[str, int], seed: int = 0) -> Path:
    """Writes `<load>.jsonl` and the images that it asks about.

    Args:
        folder: Where to.
        questions: How many questions each load shall have at least; whole images are written.
        seed: Draws everything.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for load, wanted in questions.items():
        per_image = LOADS[load]
        lines = []
        for number in range(-(-wanted // per_image)):
            name = f"{load}_{number:05d}.jpg"
            _draw(folder / "images" / name, f"{seed}/{name}")
            draw = Random(f"{seed}/{name}/questions")
            for text in _questions(load, per_image, draw):
                row = {
                    "question_id": len(lines) + 1,
                    "image": name,
                    "text": text,
                    "label": draw.choice(("yes", "no")),
                }
                lines.append(json.dumps(row))
        (folder / f"{load}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _questions(load: str, count: int, draw: Random) -> list[str]:
    if load == "gqa":
        return [_fill(draw.choice(QUESTIONS), draw) for _ in range(count)]
    if load == "mme":
        return [_fill(draw.choice(CHECKS), draw) + YES_NO for _ in range(count)]
    names = draw.sample(CLEAN_NAMES, count)
    return [
        f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name} in the image?" for name in names
    ]


def _fill(text: str, draw: Random) -> str:
    a, b = draw.sample(CLEAN_NAMES, 2)
    return text.format(
        a=a,
        b=b,
        color=draw.choice(COLORS),
        side=draw.choice(SIDES),
        number=draw.choice(("two", "three", "five")),
    )


def _draw(path: Path, seed: str) -> None:
    """A scene of 640 x 480 pixels: a gradient, rectangles and grain, as JPEG."""
    if path.is_file():
        return
    rng = np.random.default_rng(list(seed.encode()))
    ramp = np.linspace(0, 1, 480)[:, None, None]
    low, high = rng.uniform(0, 255, (2, 1, 1, 3))
    scene = np.broadcast_to(low + ramp * (high - low), (480, 640, 3)).copy()
    for _ in range(12):
        x1, x2 = np.sort(rng.integers(0, 640, 2))
        y1, y2 = np.sort(rng.integers(0, 480, 2))
        scene[y1:y2, x1:x2] = rng.uniform(0, 255, 3)
    scene += rng.normal(0, 6, scene.shape)
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(path, quality=90)
