"""VQAv2 in miniature: two questions on each image of val2014, and test-dev without answers.

Source of the layout: Goyal et al., 2017, arXiv:1612.00837, and visualqa.org.
"""

from __future__ import annotations

from pathlib import Path

from collavo.datasets.miniature.coco import Images, write_val2014
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import ask_some
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.vqa_files import (
    VqaRow,
    ten_answers,
    write_annotations,
    write_questions,
)

KINDS = ("count", "color", "exists", "side", "absent", "place")
QUESTION_TYPES = {
    "count": "how many",
    "color": "what color is the",
    "exists": "is there a",
    "absent": "is there a",
    "side": "none of the above",
    "place": "what",
}
"""The organisers' groups by how questions begin."""

PER_IMAGE = 2
TEST_IMAGES = 8
TEST_PER_IMAGE = 3


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `VQAv2` and the images of test2015."""
    folder, images = root / "VQAv2", write_val2014(root)
    rows = _rows(images, PER_IMAGE)
    write_questions(folder / "v2_OpenEnded_mscoco_val2014_questions.json", "val2014", rows)
    write_annotations(folder / "v2_mscoco_val2014_annotations.json", "val2014", rows)
    gallery = Gallery(root / "test2015", 4)
    for drawn in gallery.scenes(TEST_IMAGES):
        gallery.put(f"COCO_test2015_{drawn.seed:012d}.jpg", drawn)
    hidden = _rows(tuple(gallery.entries), TEST_PER_IMAGE)
    name = "v2_OpenEnded_mscoco_test-dev2015_questions.json"
    write_questions(folder / name, "test-dev2015", hidden)
    return [*images, *gallery.entries]


def _rows(images: Images, count: int) -> list[VqaRow]:
    rows = []
    for turn, (_, drawn) in enumerate(images):
        dice = Dice(drawn.seed)
        kinds = KINDS[turn % len(KINDS) :] + KINDS[: turn % len(KINDS)]
        for number, asked in enumerate(ask_some(drawn, kinds, count, dice)):
            answers = ten_answers(asked, dice)
            rows.append(VqaRow(drawn.seed, number, asked, QUESTION_TYPES[asked.kind], answers))
    return rows
