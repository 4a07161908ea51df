"""Q-Bench A1 in miniature: scenes whose quality was really spoilt, English and Chinese.

Source of the layout: Wu et al., 2023, arXiv:2309.14181 (LLVisionQA). A question is of type 0 (yes
or no), 1 (what) or 2 (how), and concerns 0 distortion, 1 other qualities, 2 a distortion of one
thing, or 3 another quality of one thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from collavo.datasets.miniature import chinese
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import colored
from collavo.datasets.miniature.scenes import Scene, Thing
from collavo.datasets.miniature.sketches import photos

DEV, TEST = 24, 8

_CN = {
    "Yes": "是", "No": "否", "Dark": "暗", "Medium": "适中", "Bright": "亮",
    "Motion blur": "运动模糊", "Noise": "噪点", "Overexposure": "过曝", "Underexposure": "欠曝",
    "Out of focus": "失焦", "Compression artifacts": "压缩失真", "Vivid": "鲜艳", "Dull": "暗淡",
    "Black and white": "黑白", "Sharp": "清晰", "Blurry": "模糊",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One way to spoil a picture and one to ask about it.

    Args:
        spoil: Takes the scene and the thing that is asked about; returns the picture.
        kind: 0, 1 or 2.
        concern: 0 to 3; from 2 on the texts hold `{}` for the thing.
        english: The question.
        chinese: The same.
        right: The right answer.
        wrong: The others, two at the least where it is no yes-or-no question.
    """

    spoil: Callable[[Scene, Thing], Image.Image]
    kind: int
    concern: int
    english: str
    chinese: str
    right: str
    wrong: tuple[str, ...]


def _whole(change: Callable[[Image.Image], Image.Image]) -> Callable[[Scene, Thing], Image.Image]:
    return lambda drawn, thing: change(drawn.image)


def _part(
    change: Callable[[Image.Image], Image.Image], thing_itself: bool
) -> Callable[[Scene, Thing], Image.Image]:
    """Changes the thing alone, or all but the thing, by its exact mask."""

    def spoil(drawn: Scene, thing: Thing) -> Image.Image:
        where = (drawn.panoptic == thing.id) == thing_itself
        mask = Image.fromarray(where * np.uint8(255))
        return Image.composite(change(drawn.image), drawn.image, mask)

    return spoil


def _noisy(drawn: Scene, thing: Thing) -> Image.Image:
    return photos.noisy(drawn.image, drawn.seed)


def _plain(drawn: Scene, thing: Thing) -> Image.Image:
    return drawn.image


_KINDS = ("Motion blur", "Noise", "Overexposure", "Underexposure")
_LIGHT = ("How is the brightness of this image?", "这张图片的亮度如何？")
_WHICH = ("What distorts this image most?", "这张图片最主要的失真是什么？")
_FOCUS = ("Is the {} in focus in this picture?", "图中的{}对焦清楚吗？")
_COLORS = ("How are the colors of this picture?", "这张图片的色彩如何？")


def _which(right: str) -> tuple[str, tuple[str, ...]]:
    return right, tuple(kind for kind in _KINDS if kind != right)


CASES = (
    Case(_whole(photos.dark), 2, 1, *_LIGHT, "Dark", ("Medium", "Bright")),
    Case(_whole(photos.shaken), 1, 0, *_WHICH, *_which("Motion blur")),
    Case(_part(photos.blurred, True), 0, 2, *_FOCUS, "No", ("Yes",)),
    Case(_noisy, 0, 0, "Is this image noisy?", "这张图片有噪点吗？", "Yes", ("No",)),
    Case(_whole(photos.gray), 2, 1, *_COLORS, "Black and white", ("Vivid", "Medium")),
    Case(_part(photos.blurred, False), 0, 2, *_FOCUS, "Yes", ("No",)),
    Case(_whole(photos.bright), 1, 0, *_WHICH, *_which("Overexposure")),
    Case(
        _plain, 2, 3, "How sharp is the {} in this image?", "图中的{}清晰度如何？", "Sharp",
        ("Blurry", "Medium"),
    ),
    Case(_whole(photos.bright), 2, 1, *_LIGHT, "Bright", ("Medium", "Dark")),
    Case(_noisy, 1, 0, *_WHICH, *_which("Noise")),
    Case(
        _part(photos.dark, True), 2, 3, "How is the lighting of the {}?", "图中{}的光线如何？",
        "Dark", ("Bright", "Medium"),
    ),
    Case(
        _whole(photos.squeezed), 1, 0, "What degrades the quality of the image?",
        "是什么降低了这张图片的质量？", "Compression artifacts", ("Overexposure", "Motion blur"),
    ),
    Case(_plain, 0, 0, "Is this image blurred?", "这张图片模糊吗？", "No", ("Yes",)),
    Case(_whole(photos.vivid), 2, 1, *_COLORS, "Vivid", ("Dull", "Black and white")),
    Case(_whole(photos.dark), 1, 0, *_WHICH, *_which("Underexposure")),
    Case(_part(photos.blurred, True), 2, 2, "How sharp is the {} in this image?",
         "图中的{}清晰度如何？", "Blurry", ("Sharp", "Medium")),
)  # fmt: skip
"""The cases in turn; each eighth question asks for a colour instead."""


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the four lists of `LLVisionQA-QBench` and `images`."""
    folder = root / "LLVisionQA-QBench"
    gallery = Gallery(folder / "images", 10)
    fitting = (drawn for drawn in gallery.scenes(500) if colored(drawn))
    for files, count, hidden in (
        (("llvisionqa_dev.json", "质衡-问答-验证集.json"), DEV, False),
        (("llvisionqa_test.json", "质衡-问答-测试集.json"), TEST, True),
    ):
        rows = [_rows(gallery, next(fitting)) for _ in range(count)]
        for place, file in enumerate(files):
            listed = [dict(pair[place]) for pair in rows]
            for row in listed if hidden else ():
                del row["correct_ans"]
            write_json(folder / file, listed)
    return gallery.entries


def _rows(gallery: Gallery, drawn: Scene) -> tuple[dict[str, object], dict[str, object]]:
    """Spoils and saves one picture; returns its row in English and in Chinese."""
    turn, dice = len(gallery.entries), Dice(drawn.seed)
    thing = dice.choice(colored(drawn))
    case = _about_color(thing) if turn % 8 == 7 else CASES[(turn - turn // 8) % len(CASES)]
    name = f"{drawn.seed % 10**5:05d}.jpg"
    gallery.put(name, replace(drawn, image=case.spoil(drawn, thing)))
    listed = dice.shuffled([case.right, *case.wrong])

    def row(question: str, word: str, options: list[str], right: str) -> dict[str, object]:
        return {
            "type": case.kind,
            "concern": case.concern,
            "question": question.format(word),
            "img_path": name,
            "candidates": options,
            "correct_ans": right,
        }

    named = chinese.word(thing.name)
    return (
        row(case.english, thing.name, listed, case.right),
        row(case.chinese, named, [_in_chinese(x) for x in listed], _in_chinese(case.right)),
    )


def _about_color(thing: Thing) -> Case:
    wrong = tuple(c.capitalize() for c in ("red", "blue", "green", "yellow") if c != thing.color)
    texts = ("What is the color of the {} in this image?", "图中的{}是什么颜色的？")
    return Case(_plain, 1, 3, *texts, thing.color.capitalize(), wrong[:3])


def _in_chinese(text: str) -> str:
    return _CN.get(text) or chinese.word(text.lower())
