"""MMMU in miniature: two questions in each of twelve subjects of all six domains.

Source of the layout: Yue et al., 2023, arXiv:2311.16502: one folder of parquet files a subject.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.drawing import INK, page, stamp
from collavo.datasets.miniature.files import cell, write_parquet
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.palette import COLORS
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import charts, diagrams, geometry, maps, signs
from collavo.datasets.miniature.sketches.charts import Chart

MOST_IMAGES = 7
LETTERS = "ABCDE"

Exercise = tuple[str, tuple[Image.Image, ...], str, tuple[str, ...], str | list[str]]
"""Question, pictures, kind of picture, options (none: open), and the letter or what is right."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `MMMU/<subject>/validation-00000-of-00001.parquet`."""
    folder = root / "MMMU"
    gallery = Gallery(folder, 16)
    for subject, exercises in _subjects().items():
        rows = []
        for number, exercise in enumerate(exercises, start=1):
            key = f"validation_{subject}_{number}"
            for place, image in enumerate(exercise[1], start=1):
                gallery.remember(f"{key}_{place}.png", image)
            rows.append(_row(key, *exercise, ("Easy", "Medium")[number % 2]))
        _write_subject(folder / subject / "validation-00000-of-00001.parquet", rows)
    return gallery.entries


def _write_subject(path: Path, rows: list[dict[str, Any]]) -> None:
    write_parquet(path, rows, [f"image_{number}" for number in range(1, MOST_IMAGES + 1)])


def _row(
    key: str,
    question: str,
    images: tuple[Image.Image, ...],
    kind: str,
    options: tuple[str, ...],
    answer: str | list[str],
    difficulty: str,
) -> dict[str, Any]:
    cells = [cell(image, f"{key}_{place}.png") for place, image in enumerate(images, start=1)]
    empty = dict.fromkeys((f"image_{place}" for place in range(1, MOST_IMAGES + 1)), None)
    return {
        "id": key,
        "question": question,
        "options": str(list(options)),
        "explanation": "",
        **empty,
        **{f"image_{place}": value for place, value in enumerate(cells, start=1)},
        "img_type": str([kind]),
        "answer": answer if isinstance(answer, str) else str(answer),
        "topic_difficulty": difficulty,
        "question_type": "multiple-choice" if options else "open",
        "subfield": "Foundations",
    }


def _subjects() -> dict[str, list[Exercise]]:
    return {**_figures(), **_pictures()}


def _figures() -> dict[str, list[Exercise]]:
    """Subjects of numbers."""
    table, plot, shape = "Tables", "Plots and Charts", "Geometric Shapes"
    books = charts.table("Accounts", ("Item", "Amount"), [("Sales", 900), ("Costs", 640)])
    prices = Chart("line", "Price of wheat", ("Jan", "Feb", "Mar"), (40, 50, 45), "$").draw()
    shares = Chart("pie", "Shares", ("Vale Ltd", "Moss Ltd", "Roos Ltd"), (50, 30, 20)).draw()
    triangle, graph = geometry.right_triangle("12", "5", "x"), geometry.line_graph(1, 2)
    falls = geometry.line_graph(-2, 1)
    return {
        "Accounting": [
            ("What is the profit in <image 1>?", (books,), table, ("$260", "$640", "$1540"), "A"),
            ("By <image 1>, what are the costs?", (books,), table, ("$900", "$640", "$260"), "B"),
        ],
        "Economics": [
            ("From Jan to Feb in <image 1>, the price rose by", (prices,), plot,
             ("10 percent", "20 percent", "25 percent", "50 percent"), "C"),
            ("In which month of <image 1> is wheat dearest?", (prices,), plot,
             ("Jan", "Feb", "Mar"), "B"),
        ],
        "Finance": [
            ("Which firm in <image 1> has the largest share?", (shares,), plot,
             ("Moss Ltd", "Roos Ltd", "Vale Ltd"), "C"),
            ("<image 1> What percentage do Moss Ltd and Roos Ltd have together?", (shares,), plot,
             (), "50"),
        ],
        "Math": [
            ("<image 1> Find x.", (triangle,), shape, (), "13"),
            ("Which of the two lines, <image 1> and <image 2>, is falling?", (graph, falls), plot,
             ("the line of <image 1>", "the line of <image 2>", "both", "none"), "B"),
        ],
        "Physics": [
            ("A car covers 120 km in the time between <image 1> and <image 2>. What is its speed?",
             (geometry.clock_face(2, 0), geometry.clock_face(4, 0)), "Diagrams",
             ("40 km/h", "60 km/h", "120 km/h", "240 km/h"), "B"),
            ("<image 1> The line is a body's way in metres over seconds. What is its speed in m/s?",
             (geometry.line_graph(2, 0),), plot, (), "2"),
        ],
    }  # fmt: skip


def _pictures() -> dict[str, list[Exercise]]:
    """Subjects of things to be seen and read."""
    diagram, photo, text = "Diagrams", "Photographs", "Other"
    chain = diagrams.chain(("algae", "shrimp", "herring", "seal"))
    earth = diagrams.layers("The Earth", ("crust", "mantle", "outer core", "inner core"))
    spots = {"Elmford": (0.2, 0.1), "Norda": (0.8, 0.4), "Kest": (0.4, 0.8)}
    island = maps.draw_map("Amber Island", spots)
    bill = signs.document("DOSE", [("Tablet", "250 mg"), ("A day", "3 tablets")])
    pulse = Chart("bars", "Beats a minute", ("Ada", "Bruno", "Clara"), (72, 130, 64)).draw()
    novel = signs.book("Two Kites", "Emil Hask", "purple")
    tree = diagrams.cycle("Loop of a program", ("start", "test", "work", "count"))
    soil = diagrams.layers("Soil", ("humus", "topsoil", "subsoil", "rock"))
    warm, cold = _still_life("orange", "red"), _still_life("blue", "green")
    return {
        "Art": [
            ("Which picture has the warmer colors?", (warm, cold), "Paintings",
             ("<image 1>", "<image 2>"), "A"),
            ("<image 1> What kind of painting is it?", (cold,), "Paintings",
             ("portrait", "landscape", "still life", "map"), "C"),
        ],
        "Biology": [
            ("In <image 1>, which organism is the primary consumer?", (chain,), diagram,
             ("algae", "shrimp", "herring", "seal"), "B"),
            ("<image 1> Which organism is the producer?", (chain,), diagram, (), "algae"),
        ],
        "Geography": [
            ("Which layer of <image 1> lies right under the crust?", (earth,), diagram,
             ("inner core", "mantle", "outer core"), "B"),
            ("Which town in <image 1> is in the north?", (island,), "Maps",
             ("Norda", "Kest", "Elmford"), "C"),
        ],
        "Pharmacy": [
            ("By <image 1>, what is the dose a day?", (bill,), "Tables",
             ("250 mg", "500 mg", "750 mg", "1000 mg"), "C"),
            ("How long do 30 tablets last, by <image 1>?", (bill,), "Tables",
             ("3 days", "10 days", "30 days"), "B"),
        ],
        "Clinical_Medicine": [
            ("Whose pulse in <image 1> is too fast at rest?", (pulse,), "Plots and Charts",
             ("Ada's", "Bruno's", "Clara's"), "B"),
            ("<image 1> Whose pulse is the slowest?", (pulse,), "Plots and Charts", (), "Clara"),
        ],
        "Literature": [
            ("Who is the author of the book in <image 1>?", (novel,), text,
             ("Ada Vale", "Emil Hask", "Gus Tamm"), "B"),
            ("<image 1> What is the book's title?", (novel,), text, (), "Two Kites"),
        ],
        "Computer_Science": [
            ("In <image 1>, what does the program do right after the test?", (tree,), diagram,
             ("start", "work", "count", "stop"), "B"),
            ("How many steps does the loop in <image 1> have?", (tree,), diagram,
             ("2", "3", "4", "5"), "C"),
        ],
        "Agriculture": [
            ("Which layer of <image 1> lies on top?", (soil,), diagram,
             ("humus", "rock", "subsoil"), "A"),
            ("Which fruit is in <image 1>?", (signs.photo("apple", "red"),), photo,
             ("banana", "apple", "grape", "pear"), "B"),
        ],
    }  # fmt: skip


def _still_life(first: str, second: str) -> Image.Image:
    image = page(COLORS[first])
    stamp(image, "bottle", second, 120, 130, 150)
    stamp(image, "cup", second, 240, 160, 80)
    image.paste(INK, (0, 206, 360, 212))
    return image
