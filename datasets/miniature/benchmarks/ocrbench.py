"""OCRBench in miniature: words, scenes with writing, documents, formulas.

Source of the layout: Yuliang-Liu/MultimodalOCR, OCRBench; names of the sets as it gives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import geometry, signs

READ = "what is written in the image?"
NUMBER = "what is the number in the image?"
FORMULA = "Please write out the expression of the formula in the image using LaTeX format."

Lines = tuple[tuple[str, str], ...]

RECEIPTS: tuple[tuple[str, Lines], ...] = (
    ("OLD MILL BAKERY", (("Date", "12 May 2021"), ("Bread", "$4.50"), ("Total", "$4.50"))),
    (
        "HARBOR CAFE",
        (("Date", "3 June 2022"), ("Tea", "$2.20"), ("Cake", "$3.80"), ("Total", "$6")),
    ),
    ("BLUE KITE BOOKS", (("Date", "9 July 2020"), ("Novel", "$15"), ("Total", "$15"))),
)
LETTERS: tuple[tuple[str, Lines], ...] = (
    ("INVITATION", (("From", "Ada Vale"), ("To", "Emil Hask"), ("Place", "Elmford"))),
    ("TICKET", (("Train", "IC 418"), ("Seat", "27"), ("To", "Norda"))),
    ("LOAN CARD", (("Name", "Gus Tamm"), ("Book", "Two Kites"), ("Until", "8 March"))),
)
FORMULAS = (("x^2+1", "x^{2}+1"), ("a_1=4", "a_{1}=4"), ("3y-7", "3y-7"))

Item = tuple[str, str, Image.Image, str, list[str]]
"""Kind, source, picture, question, answers."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `OCRBench/OCRBench.json` and `OCRBench/OCRBench_Images`."""
    folder = root / "OCRBench"
    gallery = Gallery(folder / "OCRBench_Images", 18)
    rows: list[dict[str, object]] = []
    for kind, source, image, question, answers in items():
        number = sum(row["dataset_name"] == source for row in rows)
        path = f"{source}/{number}.png"
        gallery.figure(path, image)
        row = {"dataset_name": source, "type": kind, "id": str(number), "image_path": path}
        rows.append({**row, "question": question, "answers": answers})
    write_json(folder / "OCRBench.json", rows)
    return gallery.entries


def items() -> Iterator[Item]:
    """Yields three questions of each of the ten kinds."""
    for text, color in (("harbor", "blue"), ("CLOSED", "red"), ("Bakery", "brown")):
        yield "Regular Text Recognition", "IIIT5K", signs.word(text, color), READ, [text]
    for text, angle in (("market", 28), ("station", -24), ("garden", 40)):
        yield "Irregular Text Recognition", "CT80", signs.turned(text, angle), READ, [text]
    for text in ("sunny", "happy", "circus"):
        yield "Artistic Text Recognition", "WordArt", signs.artistic(text), READ, [text]
    for text in ("mother", "letter", "Sunday"):
        yield "Handwriting Recognition", "IAM", signs.handwritten(text), READ, [text]
    for text in ("40718", "2953", "861204"):
        image = signs.handwritten(text)
        yield "Digit String Recognition", "ORAND", image, NUMBER, [text]
    for text in ("xqplv", "ntrbz", "ehwok"):
        yield "Non-Semantic Text Recognition", "NonSemanticText", signs.word(text), READ, [text]
    scene = "Scene Text-centric VQA"
    yield scene, "STVQA", signs.plate("QX 264", "green"), "What is on the plate?", ["QX 264"]
    shop = signs.shop("Red Kite", "SHOES", "red")
    yield scene, "STVQA", shop, "What does the shop sell?", ["shoes"]
    sign = signs.road_sign(("Norda", "25 km"), "blue")
    yield scene, "STVQA", sign, "How far is it to Norda?", ["25 km", "25"]
    for title, lines in LETTERS:
        name, value = lines[1]
        question = f'What stands behind "{name}" in the document?'
        yield "Doc-oriented VQA", "docVQA", signs.document(title, lines), question, [value]
    for title, lines in RECEIPTS:
        question = f"what is the total of this receipt of {title.title()}? Answer as it is printed."
        answers = [lines[-1][1]]
        yield "Key Information Extraction", "SROIE", signs.document(title, lines), question, answers
    formulas = "Handwritten Mathematical Expression Recognition"
    for text, latex in FORMULAS:
        yield formulas, "HME100k", geometry.formula(text), FORMULA, [latex]
