"""Writes the benchmark's images and questions: procedural scenes, questions of each load's kind."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from benchmarks.throughput.plugin import LOADS
from benchmarks.throughput.words import questions


def build(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Writes `<load>.jsonl` and the images that it asks about.

    Args:
        folder: Where to.
        counts: How many questions each load shall have at least; whole images are written.
        seed: Draws everything.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for load, wanted in counts.items():
        per_image = LOADS[load]
        lines = []
        for number in range(-(-wanted // per_image)):
            name = f"{load}_{number:05d}.jpg"
            _draw(folder / "images" / name, f"{seed}/{name}")
            draw = Random(f"{seed}/{name}/questions")
            for text in questions(load, per_image, draw):
                row = {
                    "question_id": len(lines) + 1,
                    "image": name,
                    "text": text,
                    "label": draw.choice(("yes", "no")),
                }
                lines.append(json.dumps(row))
        (folder / f"{load}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


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
