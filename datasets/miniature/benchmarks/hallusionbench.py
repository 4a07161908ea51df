"""HallusionBench in miniature: yes/no questions on figures, on altered figures, and without any.

Source of the layout and of the kinds of sets: Guan et al., 2024, arXiv:2310.14566. A VS set asks
what is known without a figure (figure 0), of a true figure and of one that was altered; a VD set
asks of a figure (0) and of altered ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import charts, geometry, illusions, maps, signs


@dataclass(frozen=True)
class Figure:
    """A figure of a set.

    Args:
        image: None where the questions are asked without.
        answers: Whether yes is right, question by question.
        details: What there is to see or to know.
    """

    image: Image.Image | None
    answers: tuple[bool, ...]
    details: str


@dataclass(frozen=True)
class Set:
    """A set of figures with the questions about each.

    Args:
        category: "VD" or "VS".
        subcategory: Such as "chart".
        note: The authors' short name of a set.
        questions: They begin with a small letter where `lead` comes before.
        figures: In order.
        lead: What precedes the questions where there is a figure (VS).
    """

    category: str
    subcategory: str
    note: str
    questions: tuple[str, ...]
    figures: tuple[Figure, ...]
    lead: str = ""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `HallusionBench/HallusionBench.json` and `HallusionBench/hallusion_bench`."""
    folder = root / "HallusionBench"
    gallery = Gallery(folder / "hallusion_bench", 14)
    rows = []
    counts: dict[tuple[str, str], int] = {}
    for group in (*supplements(), *dependents()):
        kind = (group.category, group.subcategory)
        number = counts[kind] = counts.get(kind, -1) + 1
        for place, figure in enumerate(group.figures):
            name = f"{group.category}/{group.subcategory}/{number}_{place}.png"
            if figure.image is not None:
                gallery.figure(name, figure.image)
            rows += _rows(group, figure, number, place, name)
    write_json(folder / "HallusionBench.json", rows)
    return gallery.entries


def _rows(
    group: Set, figure: Figure, number: int, place: int, name: str
) -> list[dict[str, str | None]]:
    shown = place if group.category == "VS" else place + 1
    listed: list[dict[str, str | None]] = []
    for question, right in zip(group.questions, figure.answers, strict=True):
        words = f"{group.lead} {question}" if group.lead and figure.image else question
        listed.append(
            {
                "category": group.category,
                "subcategory": group.subcategory,
                "visual_input": str(min(shown, 2)),
                "set_id": str(number),
                "figure_id": str(place),
                "sample_note": group.note,
                "question_id": str(len(listed)),
                "question": words[0].upper() + words[1:],
                "gt_answer_details": figure.details,
                "gt_answer": str(int(right)),
                "filename": f"./{name}" if figure.image is not None else None,
            }
        )
    return listed


def supplements() -> list[Set]:
    """The sets whose questions can be asked without a figure."""
    names, legs, swapped = ("Ant", "Spider", "Cat", "Bird"), (6, 8, 4, 2), (8, 6, 4, 2)
    chart, cities = "According to the chart,", {"Oslo": (0.4, 0.05), "Rome": (0.5, 0.5)}
    true_map = {**cities, "Cairo": (0.8, 0.95)}
    false_map = {"Cairo": (0.4, 0.05), "Rome": (0.5, 0.5), "Oslo": (0.8, 0.95)}
    planets = [("Venus", 2), ("Earth", 3), ("Mars", 4)]
    moved = [("Venus", 2), ("Mars", 3), ("Earth", 4)]
    head, lead = ("Planet", "Place from the sun"), "According to the table,"
    return [
        Set(
            "VS", "chart", "legs",
            ("does a spider have more legs than an ant?", "do ants have eight legs?"),
            (
                Figure(None, (True, False), "A spider has eight legs, an ant has six."),
                Figure(_bars(names, legs), (True, False), "A spider has eight legs, an ant six."),
                Figure(_bars(names, swapped), (False, True), "The chart gives an ant eight legs."),
            ),
            chart,
        ),
        Set(
            "VS", "table", "planets",
            ("is Mars farther from the sun than the Earth?", "is the Earth the third planet?"),
            (
                Figure(None, (True, True), "The Earth is the third planet, Mars the fourth."),
                Figure(charts.table("Planets", head, planets), (True, True), "Mars is the fourth."),
                Figure(charts.table("Planets", head, moved), (False, False), "Mars is the third."),
            ),
            lead,
        ),
        Set(
            "VS", "map", "cities",
            (
                "among Oslo, Rome and Cairo, is Oslo the farthest north?",
                "among Oslo, Rome and Cairo, is Cairo the farthest north?",
            ),
            (
                Figure(None, (True, False), "Oslo is the farthest north."),
                Figure(maps.draw_map("Cities", true_map), (True, False), "Oslo is northernmost."),
                Figure(maps.draw_map("Cities", false_map), (False, True), "Cairo is northernmost."),
            ),
            "According to the map provided,",
        ),
        Set(
            "VS", "ocr", "week",
            ("does a week have seven days?", "does a week have eight days?"),
            (
                Figure(None, (True, False), "A week has seven days."),
                Figure(_board("7"), (True, False), "The sign says seven days."),
                Figure(_board("8"), (False, True), "The sign says eight days."),
            ),
            "According to the sign,",
        ),
    ]  # fmt: skip


def dependents() -> list[Set]:
    """The sets whose questions need their figure."""
    lines = ("Are the two horizontal lines of the same length?", "Is the upper line shorter?")
    circles = ("Are the two orange discs of the same size?", "Is the left orange disc larger?")
    value = ("Is the value of x in the image 5?", "Is the value of x in the image larger than 5?")
    apples = ("Are there exactly three apples in the image?", "Is every apple in the image red?")
    name = ('Does the image show "Old Mill"?', 'Does the image show "Old Hill"?')
    drive = ("By the frames from 1 to 3, does the car move to the right?",
             "By the frames from 1 to 3, does the car move to the left?")  # fmt: skip
    return [
        _pair("illusion", "arrows", lines, illusions.arrows(160, 160), (True, False),
              illusions.arrows(120, 180), (False, True)),
        _pair("illusion", "discs", circles, illusions.discs(26, 26), (True, False),
              illusions.discs(34, 22), (False, True)),
        _pair("math", "pythagorean", value, geometry.right_triangle("4", "3", "x"), (True, False),
              geometry.right_triangle("8", "6", "x"), (False, True)),
        _pair("figure", "apples", apples, geometry.objects([("apple", "red", 3)]), (True, True),
              geometry.objects([("apple", "red", 3), ("apple", "green", 1)]), (False, False)),
        _pair("ocr", "mill", name, signs.shop("Old Mill", "BREAD", "brown"), (True, False),
              signs.shop("Old Hill", "BREAD", "brown"), (False, True)),
        Set(
            "VD", "video", "drive", drive,
            (
                Figure(_film(0, 0.5, 1), (True, False), "The car moves to the right."),
                Figure(_film(1, 0.5, 0), (False, True), "The car moves to the left."),
                Figure(_film(0.5, 0.5, 0.5), (False, False), "The car does not move."),
            ),
        ),
    ]  # fmt: skip


def _pair(
    subcategory: str,
    note: str,
    questions: tuple[str, ...],
    original: Image.Image,
    answers: tuple[bool, ...],
    altered: Image.Image,
    others: tuple[bool, ...],
) -> Set:
    """A set of a figure and an altered one; what there is to see follows from the answers."""
    figures = (
        Figure(original, answers, _details(questions, answers)),
        Figure(altered, others, _details(questions, others)),
    )
    return Set("VD", subcategory, note, questions, figures)


def _details(questions: Sequence[str], answers: Sequence[bool]) -> str:
    said = zip(questions, answers, strict=True)
    return " ".join(f"{question} {'Yes.' if right else 'No.'}" for question, right in said)


def _bars(names: tuple[str, ...], legs: tuple[int, ...]) -> Image.Image:
    return charts.Chart("bars", "Legs of animals", names, legs).draw()


def _board(days: str) -> Image.Image:
    return signs.road_sign(("A week", f"has {days} days"), "yellow")


def _film(*shares: float) -> Image.Image:
    return illusions.frames("car", "red", shares)
