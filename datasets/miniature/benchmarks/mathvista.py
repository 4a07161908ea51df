"""MathVista in miniature: plots, geometry, puzzles, counted things; the answers of test hidden.

Source of the layout: Lu et al., 2024, arXiv:2310.02255: parquet parts with `images` beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import cell, write_parquet
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import ask
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import charts, geometry
from collavo.datasets.registration.mathvista import query_of
from collavo.datasets.registration.readers.rows import Row

PARTS = {
    "testmini": ("testmini-00000-of-00001-725687bf7a18d64b.parquet",),
    "test": (
        "test-00000-of-00002-6b81bd7f7e2065e6.parquet",
        "test-00001-of-00002-6a611c71596db30f.parquet",
    ),
}
SCENES = 4
"""Images of each split on which things are counted."""

_SOURCES = {
    "figure": ("ChartQA", "figure question answering", "bar chart", "statistical reasoning"),
    "geometry": (
        "Geometry3K",
        "geometry problem solving",
        "geometry diagram",
        "geometry reasoning",
    ),
    "word": ("IconQA", "math word problem", "abstract scene", "arithmetic reasoning"),
    "book": ("TheoremQA", "textbook question answering", "function plot", "algebraic reasoning"),
    "puzzle": ("IQTest", "figure question answering", "puzzle test", "logical reasoning"),
    "scene": ("CLEVR-Math", "visual question answering", "synthetic scene", "numeric commonsense"),
}
"""Source, task, context and first skill, by the kind of problem."""


@dataclass(frozen=True)
class Problem:
    """One problem.

    Args:
        kind: One of `_SOURCES`.
        image: What it shows.
        text: The question.
        answer: A choice's text, a whole number, a decimal number or a list, as text.
        choices: Where it is to be chosen from.
        unit: Of the answer.
    """

    kind: str
    image: Image.Image | Scene
    text: str
    answer: str
    choices: tuple[str, ...] = ()
    unit: str | None = None

    @property
    def answer_type(self) -> str:
        """One of "text", "integer", "float", "list"."""
        if self.choices:
            return "text"
        if self.answer.startswith("["):
            return "list"
        return "float" if "." in self.answer else "integer"


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the parquet parts of `MathVista` and its images."""
    folder = root / "MathVista"
    gallery = Gallery(folder, 11)
    for split, parts in PARTS.items():
        problems = [*_figures(), *_counted(gallery)]
        problems = problems if split == "testmini" else problems[1::3]
        rows = [_row(gallery, problem, k + 1, split) for k, problem in enumerate(problems)]
        step = -(-len(rows) // len(parts))
        for number, part in enumerate(parts):
            _write_part(folder / part, rows[number * step : (number + 1) * step])
    return gallery.entries


def _write_part(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    texts = pa.list_(pa.string())
    types = {"choices": texts, "unit": pa.string(), "precision": pa.float64()}
    write_parquet(path, rows, ["decoded_image"], **types)


def _row(gallery: Gallery, problem: Problem, pid: int, split: str) -> dict[str, Any]:
    shown, hidden = problem.image, split != "testmini"
    image = shown.image if isinstance(shown, Scene) else shown
    name = f"images/{pid + (1000 if hidden else 0)}.jpg"
    if isinstance(shown, Scene):
        gallery.put(name, shown)
    else:
        gallery.figure(name, shown)
    source, task, context, skill = _SOURCES[problem.kind]
    decimals = len(problem.answer.partition(".")[2]) if problem.answer_type == "float" else None
    row: dict[str, Any] = {
        "pid": str(pid),
        "question": problem.text,
        "image": name,
        "decoded_image": cell(image, f"{pid}.jpg"),
        "choices": list(problem.choices) or None,
        "unit": problem.unit,
        "precision": decimals,
        "answer": "" if hidden else problem.answer,
        "question_type": "multi_choice" if problem.choices else "free_form",
        "answer_type": problem.answer_type,
        "metadata": {
            "category": "math-targeted-vqa" if problem.kind != "scene" else "general-vqa",
            "context": context,
            "grade": ("elementary school", "high school", "not applicable")[pid % 3],
            "img_height": image.height,
            "img_width": image.width,
            "language": "english",
            "skills": [skill] if pid % 2 else [skill, "arithmetic reasoning"],
            "source": source,
            "split": split,
            "task": task,
        },
    }
    return {**row, "query": query_of(Row(f"problem {pid}", row))}


def _counted(gallery: Gallery) -> Iterator[Problem]:
    for drawn in gallery.scenes(SCENES):
        asked = ask(("sum", "count")[drawn.seed % 2], drawn, Dice(drawn.seed))
        assert asked is not None, "things can be counted in every scene"
        yield Problem("scene", drawn, asked.text, asked.answer)


def _figures() -> Iterator[Problem]:
    chart = charts.Chart("bars", "Visitors", ("Mon", "Tue", "Wed", "Thu"), (20, 45, 30, 25))
    drawn, choices = chart.draw(), chart.labels
    yield Problem("figure", drawn, "Which day had the most visitors?", chart.highest, choices)
    yield Problem("figure", drawn, "What is the mean number of visitors a day?", "30")
    yield Problem(
        "figure", drawn, "Is the value of Wed greater than that of Thu?", "yes", ("yes", "no")
    )
    line = charts.Chart("line", "Rain", ("May", "Jun", "Jul"), (61, 38, 27), "mm")
    yield Problem("figure", line.draw(), "How much rain fell from May to July?", "126", unit="mm")
    pie = charts.Chart("pie", "Fruit sold", ("Apples", "Pears", "Plums"), (50, 30, 20)).draw()
    yield Problem("figure", pie, "How many times as many apples as plums were sold?", "2.5")
    table = charts.table("Bakery", ("Item", "Price"), [("Roll", "$0.47"), ("Cake", "$2.80")])
    yield Problem("figure", table, "What do two rolls and a cake cost?", "3.74", unit="$")

    triangle = geometry.triangle("ABC", "60°", "x°", "50°")
    yield Problem(
        "geometry", triangle, "What is the angle at B?", "70°", ("50°", "60°", "70°", "80°")
    )
    right = geometry.right_triangle("4 cm", "3 cm", "x")
    yield Problem("geometry", right, "How long is x?", "5", unit="cm")
    box = geometry.rectangle("8 m", "5 m")
    yield Problem("geometry", box, "What is the area of the rectangle?", "40", unit="m^2")
    yield Problem(
        "geometry", box, "What is its perimeter?", "26 m", ("13 m", "26 m", "40 m", "80 m")
    )
    wheel = geometry.circle("3 cm")
    yield Problem(
        "geometry", wheel, "What is the circumference, with pi = 3.14?", "18.84", unit="cm"
    )
    yield Problem("geometry", wheel, "What is the diameter of the circle?", "6", unit="cm")

    apples = geometry.objects((("apple", "red", 3), ("apple", "green", 5)))
    yield Problem("word", apples, "How many more green apples than red ones are there?", "2")
    yield Problem("word", apples, "How many apples of each color are there, red first?", "[3, 5]")
    cups = geometry.objects((("cup", "blue", 4), ("bottle", "brown", 6)))
    yield Problem("word", cups, "Subtract all blue cups. How many things are left?", "6")
    clock = geometry.clock_face(3, 30)
    yield Problem("word", clock, "What time does the clock show?", "3:30", ("2:30", "3:30", "6:15"))

    steep, flat = geometry.line_graph(2, -1), geometry.line_graph(-1, 3)
    yield Problem("book", steep, "What is the slope of the line?", "2")
    yield Problem("book", steep, "Where does the line meet the y axis?", "-1")
    yield Problem("book", flat, "Is the function falling?", "Yes", ("Yes", "No"))
    yield Problem("book", flat, "Which function is it?", "y = -x + 3", ("y = x + 3", "y = -x + 3"))

    numbers, letters = geometry.series(("2", "4", "8", "16")), geometry.series(("A", "C", "E", "G"))
    yield Problem("puzzle", numbers, "Which number comes next?", "32")
    yield Problem("puzzle", letters, "Which letter comes next?", "I", ("H", "I", "J", "K"))
