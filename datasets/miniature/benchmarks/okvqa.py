"""OK-VQA in miniature: what one has to know about the things in the images of val2014.

Source of the layout: Marino et al., 2019, arXiv:1906.00067.
"""

from __future__ import annotations

from pathlib import Path

from collavo.datasets.miniature.coco import write_val2014
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.knowledge import facts_about
from collavo.datasets.miniature.questions import Asked
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.vqa_files import (
    VqaRow,
    ten_answers,
    write_annotations,
    write_questions,
)

MOST = 2
"""Questions an image has at the most."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the question and the annotation file of `OK-VQA`."""
    images, rows = write_val2014(root), []
    for _, drawn in images:
        dice = Dice(drawn.seed + 1)
        for number, fact in enumerate(dice.sample(facts_about(drawn.counts()), MOST)):
            asked = Asked(fact.topic, fact.text, fact.answer, fact.wrong, (fact.name,))
            answers = ten_answers(asked, dice)
            rows.append(VqaRow(drawn.seed, 5 + number, asked, fact.topic, answers))
    folder = root / "OK-VQA"
    write_questions(folder / "OpenEnded_mscoco_val2014_questions.json", "val2014", rows)
    write_annotations(folder / "mscoco_val2014_annotations.json", "val2014", rows, raw=True)
    return list(images)
