"""The miniature's answers are true: told from panoptic files, tables and pixels."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collavo.datasets.miniature.panoptic import decode
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.registration import catalog
from collavo.records import Sample

Truth = dict[str, list[dict[str, Any]]]
Said = Callable[[Sample], str]


def counted(name: str, segments: list[dict[str, Any]]) -> int:
    plural = {shape.plural: known for known, shape in SHAPES.items()}
    return sum(segment["name"] == plural.get(name, name) for segment in segments)


def box_of(name: str, segments: list[dict[str, Any]]) -> tuple[float, float, float, float]:
    """XYXY of the only one of a class."""
    found = [segment["bbox"] for segment in segments if segment["name"] == name]
    assert len(found) == 1, name
    x, y, width, height = found[0]
    return x, y, x + width, y + height


def seen_from(first: str, second: str, segments: list[dict[str, Any]]) -> set[str]:
    """All sides on which the first is, as boxes that do not overlap along that axis show."""
    a, b = box_of(first, segments), box_of(second, segments)
    holds = {"left": a[2] <= b[0], "right": b[2] <= a[0], "above": a[3] <= b[1]}
    return {side for side, is_so in (holds | {"below": b[3] <= a[1]}).items() if is_so}


def judge(question: str, segments: list[dict[str, Any]], width: int) -> set[str] | None:
    """What answers to a question about a scene are right by its segments; None if it cannot tell.

    Written from the questions' words alone.
    """
    article = r"(?:a|an) "
    if m := re.fullmatch(rf"Is there {article}(.+) in (?:the|this) (?:picture|image)\?", question):
        return {"yes" if counted(m[1], segments) else "no"} if m[1] in SHAPES else None
    if m := re.fullmatch(r"How many (.+) and (.+) are there in the picture altogether\?", question):
        return {str(counted(m[1], segments) + counted(m[2], segments))}
    if m := re.fullmatch(r"How many (.+) are there in the picture\?", question):
        return {str(counted(m[1], segments))}
    if m := re.fullmatch(rf"Are there both {article}(.+) and {article}(.+) in the .*\?", question):
        return {"yes" if all(counted(m[k], segments) for k in (1, 2)) else "no"}
    if m := re.fullmatch(rf"Is there either {article}(.+) or {article}(.+) in the .*\?", question):
        return {"yes" if any(counted(m[k], segments) for k in (1, 2)) else "no"}
    if m := re.fullmatch(r"On which side of the picture is the (.+)\?", question):
        x0, _, x1, _ = box_of(m[1], segments)
        return {"left" if x0 + x1 < width else "right"}
    if m := re.fullmatch(r"Where is the (.+), seen from the (.+)\?", question):
        sides = seen_from(m[1], m[2], segments)
        return {f"to the {side}" if side in ("left", "right") else side for side in sides}
    if m := re.fullmatch(r"Is the (.+) to the left or to the right of the (.+)\?", question):
        return seen_from(m[1], m[2], segments)
    return None


JUDGEABLE = {
    "gqa_testdev_balanced": 35, "mathvista_testmini": 4, "mm-vet": 2, "mme": 20, "pope_test": 360,
    "seed": 6, "vqav2_val": 20,
}  # fmt: skip
"""At least so many questions can be judged by the panoptic files."""


@pytest.mark.parametrize("name", sorted(JUDGEABLE))
def test_answers_about_scenes_are_true(name: str, rooted: Path, truth: Truth, said: Said) -> None:
    judged = 0
    for sample in catalog.samples_of(name):
        assert sample.images and sample.images[0].path is not None
        path = sample.images[0].path
        segments = truth.get(path.stem) or truth.get(f"images/{path.stem}")
        if not segments:
            continue
        with Image.open(path) as image:
            right = judge(sample.question.split(" Please")[0], segments, image.width)
        if right is not None:
            assert said(sample) in right, sample
            judged += 1
    assert judged >= JUDGEABLE[name]


def test_the_object_that_can_be_seen_is_the_only_option_that_can(
    rooted: Path, truth: Truth, said: Said
) -> None:
    seen = 0
    for sample in catalog.samples_of("seed"):
        if sample.question == "Which of these things can be seen in the picture?":
            assert sample.images and sample.images[0].path is not None
            segments = truth[sample.images[0].path.name]
            there = [option for option in sample.options if counted(option, segments)]
            assert there == [said(sample)]
            seen += 1
    assert seen >= 4


def test_gqa_asks_much_about_each_image_and_what_it_entails_agrees(rooted: Path) -> None:
    samples = {sample.question_id: sample for sample in catalog.samples_of("gqa_testdev_balanced")}
    assert min(Counter(s.extra["image"] for s in samples.values()).values()) >= 8
    kinds = {s.extra["types"]["structural"] for s in samples.values()}
    assert kinds == {"verify", "query", "choose", "logical"}
    entailed = 0
    for key, sample in samples.items():
        assert key in sample.extra["entailed"]
        for other in sample.extra["entailed"]:
            assert samples[other].extra["image"] == sample.extra["image"]
            if samples[other].extra["types"]["structural"] == "verify" and other != key:
                assert f" {sample.answers[0]}" in samples[other].question
                assert samples[other].answers == ("yes",)
                entailed += 1
    assert entailed >= 5
    lengths = Counter(sample.answers[0] for sample in samples.values())
    assert 0.3 < lengths["yes"] / (lengths["yes"] + lengths["no"]) < 0.7


def test_charts_answers_follow_from_their_tables(rooted: Path, said: Said) -> None:
    folder = rooted / "ChartQA" / "test"
    judged = 0
    for sample in catalog.samples_of("chartqa_test"):
        stem = Path(sample.extra["image"]).stem
        with (folder / "tables" / f"{stem}.csv").open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        table = {label: int(value) for label, value in rows}
        if m := re.search(r"show for (.+)\?", sample.question):
            right = str(table[m[1]])
        elif "highest value" in sample.question:
            right = max(table, key=lambda label: table[label])
        elif "difference" in sample.question:
            right = str(max(table.values()) - min(table.values()))
        elif sample.question.startswith("How many"):
            right = str(len(table))
        else:
            continue
        assert said(sample).rstrip("%") == right, sample
        judged += 1
    assert judged == 32


def test_boxes_are_those_of_exact_masks(rooted: Path, truth: Truth) -> None:
    for name in (name for name in catalog.dataset_names() if name.startswith("refcoco")):
        for sample in catalog.samples_of(name):
            stem = Path(sample.extra["image"]).stem
            x0, y0, x1, y1 = sample.extra["box_pixels"]
            found = [s for s in truth[stem] if s["bbox"] == [x0, y0, x1 - x0, y1 - y0]]
            assert len(found) == 1, sample
            map_file = rooted / "panoptic" / "panoptic_val" / f"{stem}.png"
            rows, columns = np.nonzero(decode(Image.open(map_file)) == found[0]["id"])
            assert (columns.min(), rows.min()) == (x0, y0)
            assert (columns.max() + 1, rows.max() + 1) == (x1, y1)
            assert found[0]["name"] in sample.question
            same = [s["bbox"] for s in truth[stem] if s["name"] == found[0]["name"]]
            if "most " in sample.question:
                edge = min if "leftmost" in sample.question else max
                assert edge(same, key=lambda box: box[0] + box[2] / 2) == found[0]["bbox"]
            if sample.question in (f"the {found[0]['name']}", f"{found[0]['name']} on the left"):
                assert len(same) == 1
            if name.startswith("refcocop_"):
                assert not re.search("left|right|above|below", sample.question)
            if name.endswith(("testA", "testB")):
                assert (found[0]["name"] == "person") == name.endswith("testA")


def test_the_quality_asked_for_is_that_of_the_picture(rooted: Path, said: Said) -> None:
    """Brightness, colour, noise and blur are measured on the saved pictures."""
    judged: Counter[str] = Counter()
    for sample in catalog.samples_of("qbench_dev"):
        assert sample.images and sample.images[0].path is not None
        with Image.open(sample.images[0].path) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
        gray = pixels.mean(axis=2)
        grain = np.abs(gray[1:-1] - (gray[:-2] + gray[2:]) / 2).mean()
        answer = said(sample)
        holds = {
            "Dark": gray.mean() < 70 or "the lighting of" in sample.question,
            "Underexposure": gray.mean() < 70,
            "Bright": gray.mean() > 200,
            "Overexposure": gray.mean() > 200,
            "Black and white": np.ptp(pixels, axis=2).mean() < 4,
            "Vivid": np.ptp(pixels, axis=2).mean() > 40,
            "Noise": grain > 12,
            "Motion blur": np.abs(np.diff(gray, axis=1)).mean()
            < np.abs(np.diff(gray, axis=0)).mean(),
        }
        if answer in holds:
            assert holds[answer], (sample, gray.mean(), grain)
            judged[answer] += 1
        if sample.question == "Is this image noisy?":
            assert (answer == "Yes") == (grain > 12)
            judged["noisy"] += 1
    assert len(judged) == 9
    kinds = Counter(
        (sample.category, sample.extra["concern"]) for sample in catalog.samples_of("qbench_dev")
    )
    assert len({kind for kind, _ in kinds}) == 3 and len({concern for _, concern in kinds}) == 4
