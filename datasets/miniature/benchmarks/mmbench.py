"""MMBench in miniature: every rotation of the options a row, English and Chinese, dev and test.

Source of the layout: Liu et al., 2023, arXiv:2307.06281: the tables of 2023, in which a copy's
index is that of its question plus a multiple of a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from collavo.datasets.miniature.chinese import in_chinese
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.files import in_base64, write_table
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.questions import Asked, ask, options
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches import diagrams, signs
from collavo.datasets.miniature.sketches.charts import Chart

COPY = 1_000_000
DEV, TEST = 7, 4
"""Questions about scenes; dev asks about figures besides."""

LEAVES = {
    "place": ("image_scene", "coarse_perception", 4),
    "color": ("attribute_recognition", "finegrained_perception (instance-level)", 4),
    "count": ("object_localization", "finegrained_perception (instance-level)", 4),
    "object": ("object_localization", "finegrained_perception (instance-level)", 3),
    "side": ("object_localization", "finegrained_perception (instance-level)", 2),
    "relation": ("spatial_relationship", "finegrained_perception (cross-instance)", 4),
    "most": ("attribute_comparison", "finegrained_perception (cross-instance)", 3),
    "text": ("ocr", "finegrained_perception (instance-level)", 3),
    "chart": ("structuralized_imagetext_understanding", "logic_reasoning", 4),
    "chain": ("nature_relation", "relation_reasoning", 4),
    "use": ("function_reasoning", "attribute_reasoning", 4),
}
"""Leaf category, its group and the number of options, by kind of question."""

KINDS = ("place", "relation", "color", "count", "side", "object", "most")
COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source",
    "l2-category", "comment", "split",
)  # fmt: skip
FILES = (
    ("mmbench_dev_20230712.tsv", "dev", False),
    ("mmbench_dev_cn_20231003.tsv", "dev", True),
    ("MMBench_TEST_EN_legacy.tsv", "test", False),
    ("MMBench_TEST_CN_legacy.tsv", "test", True),
)


@dataclass(frozen=True)
class Item:
    """A question with its picture, in both languages."""

    image: Image.Image
    english: Asked
    chinese: Asked
    hints: tuple[str, str] = ("", "")


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes the four tables of `MMBench`."""
    scenes = Gallery(root / "MMBench", 8).scenes(200)
    items = {"dev": [*_about(scenes, DEV), *_figures()], "test": _about(scenes, TEST)}
    for file, split, chinese in FILES:
        columns = [c for c in COLUMNS if c != "answer" or split == "dev"]
        rows = [
            row for n, item in enumerate(items[split]) for row in _rows(item, n, split, chinese)
        ]
        rows.sort(key=lambda row: row["index"])
        write_table(root / "MMBench" / file, columns, rows)
    return []


def _about(scenes: Iterator[Scene], count: int) -> list[Item]:
    found: list[Item] = []
    for drawn in scenes:
        asked = ask(KINDS[len(found)], drawn, Dice(drawn.seed))
        if asked is not None:
            found.append(Item(drawn.image, asked, in_chinese(asked)))
        if len(found) == count:
            break
    return found


def _rows(item: Item, number: int, split: str, chinese: bool) -> Iterator[dict[str, Any]]:
    """Yields the question and its copies, each with the options moved on by one."""
    asked = item.chinese if chinese else item.english
    category, group, count = LEAVES[asked.kind]
    listed, right = options(asked, count, Dice(number))
    index = 240 + 17 * number + (2000 if split == "test" else 0)
    for turn in range(count):
        turned = listed[turn:] + listed[:turn]
        row: dict[str, Any] = {
            "index": index + COPY * turn,
            "question": asked.text,
            "hint": item.hints[chinese] or None,
            **dict(zip("ABCD", turned, strict=False)),
            "category": category,
            "image": in_base64(item.image),
            "source": "miniature",
            "l2-category": group,
            "split": split,
        }
        answer = "ABCD"[(right - turn) % count]
        yield {**row, "answer": answer} if split == "dev" else row


def _figures() -> Iterator[Item]:
    shop = signs.shop("Fern", "TEA", "green")
    text = Asked("text", "What does this shop sell?", "TEA", ("SHOES", "BOOKS", "BREAD"))
    yield Item(shop, text, replace(text, text="这家商店卖什么？"))
    names = ("Vale", "Moss", "Hask", "Roos")
    chart = Chart("bars", "Goals", names, (9, 14, 6, 11))
    wrong = tuple(name for name in names if name != chart.highest)
    most = Asked("chart", "Who scored the most goals?", chart.highest, wrong)
    hints = ("The chart shows a season.", "图表显示的是一个赛季。")
    yield Item(chart.draw(), most, replace(most, text="谁进的球最多？"), hints)
    chain = ("grass", "mouse", "snake", "hawk")
    eats = Asked(
        "chain", "What does the snake in the diagram eat?", "mouse", ("grass", "hawk", "egg")
    )
    yield Item(
        diagrams.chain(chain),
        eats,
        Asked("chain", "图中的蛇(snake)吃什么？", "老鼠", ("草", "鹰", "鸡蛋")),
    )
    use = Asked("use", "What is the thing in the picture for?", "keeping off rain",
                ("cutting bread", "measuring time", "sweeping"))  # fmt: skip
    yield Item(
        signs.photo("umbrella", "red"),
        use,
        Asked("use", "图中的东西有什么用？", "挡雨", ("切面包", "计时", "扫地")),
    )
