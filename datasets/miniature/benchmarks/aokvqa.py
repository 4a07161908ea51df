"""A-OKVQA in miniature: knowledge about the things in images of val2017, chosen or free.

Source of the layout: Schwenk et al., 2022, arXiv:2206.01718.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.knowledge import Fact, facts_about
from collavo.datasets.miniature.questions import Asked, options
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.vqa_files import ten_answers

IMAGES = 12
MOST = 2
_DIFFICULT = 9
"""Every so manieth question is left out of direct answers, as the authors leave hard ones out."""

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `A-OKVQA/aokvqa_v1p0_val.json` and the images of val2017."""
    gallery = Gallery(root / "coco2017" / "val2017", 5)
    rows: list[dict[str, Any]] = []
    for drawn in gallery.scenes(IMAGES):
        gallery.put(f"{drawn.seed:012d}.jpg", drawn)
        dice = Dice(drawn.seed)
        for fact in dice.sample(facts_about(drawn.counts()), MOST):
            rows.append(_row(drawn, fact, len(rows), dice))
    write_json(root / "A-OKVQA" / "aokvqa_v1p0_val.json", rows)
    return gallery.entries


def _row(drawn: Scene, fact: Fact, number: int, dice: Dice) -> dict[str, object]:
    asked = Asked(fact.topic, fact.text, fact.answer, fact.wrong)
    choices, right = options(asked, 4, dice)
    return {
        "split": "val",
        "image_id": drawn.seed,
        "question_id": "".join(dice.choice(_LETTERS) for _ in range(22)),
        "question": asked.text,
        "choices": choices,
        "correct_choice_idx": right,
        "direct_answers": list(ten_answers(asked, dice)),
        "difficult_direct_answer": number % _DIFFICULT == _DIFFICULT - 1,
        "rationales": [fact.reason],
    }
