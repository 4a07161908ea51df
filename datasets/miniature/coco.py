"""The miniature's share of COCO val2014, which several benchmarks ask about."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from collavo.datasets.miniature.drawing import save
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, Scene, scene

FIRST_SEED = EVALUATION_SEEDS[1]
IMAGES = 20

Images = tuple[tuple[str, Scene], ...]
"""File names with scenes, whose seeds are the images' ids."""


@cache
def val2014() -> Images:
    """Draws the images, once for all benchmarks."""
    scenes = (scene(FIRST_SEED + k) for k in range(IMAGES))
    return tuple((f"COCO_val2014_{drawn.seed:012d}.jpg", drawn) for drawn in scenes)


def write_val2014(root: Path) -> Images:
    """Writes the folder `coco2014/val2014` if it is not there yet."""
    folder = root / "coco2014" / "val2014"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        for name, drawn in val2014():
            save(drawn.image, folder / name)
    return val2014()
