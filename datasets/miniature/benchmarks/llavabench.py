"""LLaVA-Bench in the wild in miniature: open questions, what images show, and reference answers.

Source of the layout: Liu et al., 2023, arXiv:2304.08485, and its dataset card.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collavo.datasets.miniature.describe import description, inventory
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_lines
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.knowledge import facts_about
from collavo.datasets.miniature.questions import ask
from collavo.datasets.miniature.scenes import Scene

IMAGES = 8

Turn = tuple[str, str, str]
"""Category, question, reference answer."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `llava-bench-in-the-wild`: questions, contexts, reference answers and images."""
    folder = root / "llava-bench-in-the-wild"
    gallery = Gallery(folder / "images", 19)
    rows: dict[str, list[dict[str, Any]]] = {"questions": [], "context": [], "answers_gpt4": []}
    for number, drawn in enumerate(gallery.scenes(IMAGES), start=1):
        name = f"{number:03d}.jpg"
        gallery.put(name, drawn)
        rows["context"].append({"image": name, "caption": description(drawn)})
        for category, text, answer in _turns(drawn):
            key = len(rows["questions"])
            asked = {"question_id": key, "image": name, "category": category, "text": text}
            rows["questions"].append(asked)
            answered = {"question_id": key, "text": answer, "category": category}
            rows["answers_gpt4"].append({**answered, "answer_id": f"m{key}", "model_id": "gpt-4"})
    for file, listed in rows.items():
        write_lines(folder / f"{file}.jsonl", listed)
    return gallery.entries


def _turns(drawn: Scene) -> list[Turn]:
    """Asks for one thing, for a description, and for a conclusion."""
    asked = ask("count", drawn, Dice(drawn.seed))
    assert asked is not None, "things can be counted in every scene"
    found = [
        ("conv", asked.text, f"There are {asked.answer}, as far as can be seen."),
        ("detail", "Describe this picture in detail.", description(drawn)),
    ]
    fact = next(iter(facts_about(drawn.counts())), None)
    if fact is not None:
        found.append(("complex", fact.text, f"The answer is {fact.answer}. {fact.reason}"))
    else:
        text = f"The picture shows {drawn.place} with {inventory(drawn)}."
        found.append(("complex", "What tells you where the picture was taken?", text))
    return found
