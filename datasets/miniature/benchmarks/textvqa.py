"""TextVQA in miniature: signs, labels and covers, with OCR tokens and LLaVA's question list.

Source of the layout: Singh et al., 2019, arXiv:1904.08920, and the llava_textvqa_val_v051_ocr.jsonl
of haotian-liu/LLaVA, which CoLLaVO reads as a JSON list.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import Asked
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import signs
from collavo.datasets.miniature.vqa_files import ten_answers

SUFFIX = "Answer the question using a single word or phrase."

Photo = tuple[str, Image.Image, tuple[str, ...], tuple[Asked, ...]]
"""What it shows, the picture, the words on it, and the questions about it."""

SHOPS = (("Old Mill", "bread", "brown"), ("Blue Kite", "books", "blue"), ("Fern", "tea", "green"))
BOTTLES = (("LUMA", "apple juice", "750 ml", "green"), ("Norda", "water", "500 ml", "blue"))
PLATES = (("KV 482", "red"), ("LM 907", "white"), ("TR 315", "yellow"))
ROADS = ((("Elmford", "12 km"), "blue"), (("Harbor", "3 km"), "green"))
SHIRTS = (("MOSS", "17", "red"), ("VALE", "8", "blue"))
BOOKS = (("The Red Boat", "Ada Vale", "red"), ("Two Kites", "Emil Hask", "purple"))


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `TextVQA`: images, answers, OCR tokens and LLaVA's list."""
    folder = root / "TextVQA"
    gallery = Gallery(folder / "train_images", 3)
    gold: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    for number, (what, image, words, questions) in enumerate(photos()):
        dice = Dice(number)
        name = "".join(dice.choice("0123456789abcdef") for _ in range(16))
        gallery.figure(f"{name}.jpg", image)
        tokens.append({"image_id": name, "ocr_tokens": list(words), "ocr_info": []})
        for asked in questions:
            gold.append(_record(34602 + len(gold), name, what, image, asked, dice))
            text = f"{asked.text}\nReference OCR token: {', '.join(words)}\n{SUFFIX}"
            row = {"question_id": name, "image": f"{name}.jpg", "text": text}
            listed.append({**row, "category": "default"})
    head = {"dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1"}
    write_json(folder / "TextVQA_0.5.1_val.json", {**head, "data": gold})
    write_json(folder / "TextVQA_Rosetta_OCR_v0.2_val.json", {**head, "data": tokens})
    write_json(folder / "llava_textvqa_val_v051_ocr.json", listed)
    return gallery.entries


def _record(
    number: int, name: str, what: str, image: Image.Image, asked: Asked, dice: Dice
) -> dict[str, object]:
    text = asked.text.lower()
    return {
        "question": text,
        "image_id": name,
        "image_classes": [what],
        "image_width": image.width,
        "image_height": image.height,
        "answers": list(ten_answers(asked, dice)),
        "question_tokens": text.rstrip("?").split(),
        "question_id": number,
        "set_name": "val",
    }


def photos() -> Iterator[Photo]:
    """Yields the pictures; wrong answers are other things that are written there."""
    for name, goods, color in SHOPS:
        words, image = (
            (*name.split(), *goods.upper().split()),
            signs.shop(name, goods.upper(), color),
        )
        asked: tuple[Asked, ...] = (
            _ask("What is the name of this shop?", name, goods),
            _ask("What does this shop sell?", goods, name),
        )
        yield "Building", image, words, asked
    for brand, content, volume, color in BOTTLES:
        words = (brand, *content.split(), *volume.split())
        asked = (
            _ask("What is the brand of this bottle?", brand, content),
            _ask("What is in the bottle?", content, brand),
        )
        yield "Bottle", signs.bottle(brand, content, volume, color), words, asked
    for number, color in PLATES:
        asked = (_ask("What is written on the license plate?", number, number.split()[1]),)
        yield "Car", signs.plate(number, color), tuple(number.split()), asked
    for (town, distance), color in ROADS:
        words, image = (town, *distance.split()), signs.road_sign((town, distance), color)
        asked = (
            _ask("Which town does the sign point to?", town, distance),
            _ask("How many kilometers is it to the town?", distance.split()[0], "1"),
        )
        yield "Traffic sign", image, words, asked
    for name, number, color in SHIRTS:
        asked = (
            _ask("What is the name of the player?", name, number),
            _ask("What number does the player have?", number, name),
        )
        yield "Sports uniform", signs.jersey(name, number, color), (name, number), asked
    for title, author, color in BOOKS:
        words = (*title.split(), *author.split())
        asked = (
            _ask("What is the title of this book?", title, author),
            _ask("Who wrote this book?", author, title),
        )
        yield "Book", signs.book(title, author, color), words, asked


def _ask(text: str, answer: str, other: str) -> Asked:
    return Asked("text", text, answer.lower(), (other.lower(),))
