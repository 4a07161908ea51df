"""ScienceQA in miniature: school questions with maps, diagrams and photos, and without images.

Source of the layout: Lu et al., 2022, arXiv:2209.09513, and LLaVA's llava_test_CQM-A.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import Asked, article_of, options
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import diagrams, maps, signs

LETTERS = "ABCDE"
TRAINING = 4
"""Every so manieth problem is of the training split, and so not asked."""


@dataclass(frozen=True)
class Problem:
    """One problem.

    Args:
        subject: "natural science", "social science" or "language science".
        topic: One of ScienceQA's 26.
        skill: What it trains.
        text: The question.
        answer: What is right.
        wrong: One to four others.
        hint: What is told before.
        image: What is shown.
        reason: The solution.
    """

    subject: str
    topic: str
    skill: str
    text: str
    answer: str
    wrong: tuple[str, ...]
    hint: str = ""
    image: Image.Image | None = None
    reason: str = ""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `ScienceQA`: problems, splits, LLaVA's list and the images of test."""
    folder = root / "ScienceQA"
    gallery = Gallery(folder / "images" / "test", 7)
    problems: dict[str, Any] = {}
    listed: list[dict[str, Any]] = []
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, problem in enumerate((*_maps(), *_nature(), *_photos(), *_words())):
        pid, split = str(4 + 7 * number), "train" if number % TRAINING == 3 else "test"
        asked = Asked(problem.skill, problem.text, problem.answer, problem.wrong)
        choices, right = options(asked, 1 + len(problem.wrong), Dice(number))
        problems[pid] = _record(problem, choices, right, number, split)
        splits[split].append(pid)
        if split == "test":
            listed.append(_conversation(pid, problem, choices, right))
            if problem.image is not None:
                gallery.figure(f"{pid}/image.png", problem.image)
    write_json(folder / "problems.json", problems)
    write_json(folder / "pid_splits.json", splits)
    write_json(folder / "llava_test_CQM-A.json", listed)
    return gallery.entries


def _record(
    problem: Problem, choices: list[str], right: int, number: int, split: str
) -> dict[str, Any]:
    return {
        "question": problem.text,
        "choices": choices,
        "answer": right,
        "hint": problem.hint,
        "image": "image.png" if problem.image is not None else None,
        "task": "yes or no" if len(choices) == 2 else "closed choice",
        "grade": f"grade{1 + number % 12}",
        "subject": problem.subject,
        "topic": problem.topic,
        "category": problem.topic.capitalize(),
        "skill": problem.skill,
        "lecture": "",
        "solution": problem.reason,
        "split": split,
    }


def _conversation(pid: str, problem: Problem, choices: list[str], right: int) -> dict[str, Any]:
    context = f"Context: {problem.hint}\n" if problem.hint else ""
    lines = "\n".join(f"{LETTERS[k]}. {choice}" for k, choice in enumerate(choices))
    image = "<image>\n" if problem.image is not None else ""
    said = {"from": "human", "value": f"{image}{context}{problem.text}\n{lines}"}
    row: dict[str, Any] = {"id": pid}
    if problem.image is not None:
        row["image"] = f"{pid}/image.png"
    return {**row, "conversations": [said, {"from": "gpt", "value": LETTERS[right]}]}


def _maps() -> list[Problem]:
    island = {"Elmford": (0.2, 0.1), "Norda": (0.8, 0.35), "Kest": (0.45, 0.6), "Roos": (0.1, 0.95)}
    found = []
    for direction in ("north", "east", "south", "west"):
        right = maps.most(island, direction)
        wrong = tuple(name for name in island if name != right)
        text = f"Which of these towns is farthest {direction}?"
        image = maps.draw_map("Amber Island", island)
        reason = f"North is at the top of the map. {right} lies farthest {direction}."
        skill = "Read a map: cardinal directions"
        found.append(
            Problem("social science", "geography", skill, text, right, wrong, "", image, reason)
        )
    return found


def _nature() -> list[Problem]:
    found = []
    for chain in (("grass", "mouse", "snake", "hawk"), ("algae", "shrimp", "herring", "seal")):
        image, hint = diagrams.chain(chain), "The picture shows a food chain."
        reason = "Arrows lead from what is eaten to what eats it."
        for text, right in (
            (f"Based on the picture, what does the {chain[2]} eat?", chain[1]),
            (f"Based on the picture, what eats the {chain[2]}?", chain[3]),
            ("Which of these is the producer of the food chain?", chain[0]),
        ):
            wrong = tuple(name for name in chain if name != right)
            found.append(
                Problem(
                    "natural science", "biology", "Interpret food webs", text, right, wrong, hint,
                    image, reason,
                )
            )  # fmt: skip
    parts = ("root", "stem", "leaf", "flower")
    text = "Which part of the plant in the picture takes up water from the soil?"
    image = diagrams.plant(*parts)
    found.append(
        Problem(
            "natural science", "biology", "Identify parts of a plant", text, "root", parts[1:], "",
            image, "Roots take up water.",
        )
    )  # fmt: skip
    return found


def _photos() -> list[Problem]:
    found = []
    for name, color, right, wrong in (
        ("apple", "red", "solid", ("liquid", "gas")),
        ("cup", "blue", "solid", ("liquid", "gas")),
    ):
        text = f"Is {article_of(name)} {name} a solid, a liquid or a gas?"
        skill, image = "Classify matter as solid, liquid, or gas", signs.photo(name, color)
        reason = f"The {name} keeps its shape, so it is a solid."
        found.append(
            Problem("natural science", "chemistry", skill, text, right, wrong, "", image, reason)
        )
    for name, right, wrong in (
        ("bird", "It has feathers.", ("It has scales.", "It has fur.")),
        ("cat", "It is a mammal.", ("It is a reptile.", "It is a fish.")),
    ):
        text = "Which of these is true of the animal in the picture?"
        image = signs.photo(name, "white")
        reason = f"The animal is a {name}."
        found.append(
            Problem(
                "natural science", "biology", "Use traits", text, right, wrong, "", image, reason
            )
        )
    return found


def _words() -> list[Problem]:
    nature, language, social = "natural science", "language science", "social science"
    return [
        Problem(language, "grammar", "Nouns", "Which word is a noun?", "river", ("slowly",)),
        Problem(language, "grammar", "Verbs", "Which word is a verb?", "jump", ("table", "green")),
        Problem(
            language, "phonological-awareness", "Rhymes", "Which word rhymes with cat?", "hat",
            ("dog", "sun"), "Cat and hat end alike.",
        ),
        Problem(
            language, "vocabulary", "Order of the alphabet",
            "Which word would you find on a page with the guide words kite - lamp?", "knee",
            ("lemon",), "Guide words are the first and the last word of a page.",
        ),
        Problem(
            social, "geography", "Continents", "Which of these is a continent?", "Africa",
            ("Brazil", "Paris", "Asia Minor"),
        ),
        Problem(
            social, "economics", "Goods and services", "Which of these is a service?", "haircut",
            ("bread",),
        ),
        Problem(
            nature, "physics", "Magnets",
            "Which of these things will a magnet attract?", "an iron nail",
            ("a rubber ball", "a wooden spoon", "a glass cup", "a paper bag"),
        ),
        Problem(
            nature, "physics", "Units", "What is the better estimate for the length of a pencil?",
            "18 centimeters", ("18 kilometers",),
        ),
        Problem(
            nature, "earth-science", "Seasons", "Which of these describes weather, not climate?",
            "It rained in Elmford this morning.", ("Summers in Elmford are usually dry.",),
        ),
        Problem(
            language, "punctuation", "End marks", "Which sentence is a question?",
            "Where is the boat?", ("The boat is here.", "What a fine boat!"),
        ),
        Problem(
            nature, "chemistry", "States of matter", "Which of these is a liquid?", "milk",
            ("ice", "sand", "wood"),
        ),
        Problem(
            social, "us-history", "Calendar", "How many years are there in a century?", "100",
            ("10", "50", "1000"),
        ),
    ]  # fmt: skip
