"""The answers of training scenes are true, and none gives away another."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.questions import PHRASES
from collavo.datasets.miniature.scenes import Scene, scene
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training import build
from collavo.datasets.miniature.training.checks import numbers, sides_and_colors, told_pairs
from collavo.datasets.miniature.training.turns import Said
from tests.datasets.training_rows import (
    apart,
    boxed,
    counts_by_image,
    entries_of,
    is_on_side,
    judged,
    middles_of,
    pairs,
    read,
    side_is_true,
    singles,
    told,
    words_of,
)


def test_answers_about_classes_and_numbers_are_true(training_scenes: Path) -> None:
    truth, checked = counts_by_image(training_scenes), Counter[str]()
    for row in read(training_scenes):
        for text, answer in singles(row):
            right = judged(text, truth[row["image"]])
            if right is not None:
                assert answer == right, (row["id"], text)
                checked[text.split()[0] + text.split()[1] + answer] += 1
    assert checked["IsthereYes"] > 20 and checked["IsthereNo"] > 20
    assert checked["ArethereYes"] > 5 and checked["ArethereNo"] > 5


def test_classes_asked_for_at_once_are_said_again_in_order(training_scenes: Path) -> None:
    checked = Counter[str]()
    for name in ("instructions.json", "told.json"):
        for row in read(training_scenes, name):
            for question, said in pairs(row):
                if m := re.search(r"(Which of these are|How many of each).*?: (.+)\?$", question):
                    names = m[2].split(", ")
                    assert [word for word, _ in words_of(said)] == names, (row["id"], question)
                    assert set(names) <= set(SHAPES)
                    checked[m[1]] += 1
    assert min(checked["Which of these are"], checked["How many of each"]) > 20, checked


def test_checks_of_colours_and_positions_are_true(training_scenes: Path) -> None:
    document = json.loads((training_scenes / "panoptic_train.json").read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    segments = {files[a["image_id"]]: a["segments_info"] for a in document["annotations"]}
    checked = Counter[str]()
    for row in read(training_scenes, "checks.json"):
        colors, middles = set(), {}
        for segment in segments[row["image"]]:
            name, (x, y, width, height) = names[segment["category_id"]], segment["bbox"]
            middles[name] = (x + width / 2, y + height / 2)
            colors.add((segment.get("color"), name))
        for text, answer in singles(row):
            if m := re.fullmatch(r"Is there an? (\w+) (.+) in the image\?", text):
                assert answer == ("Yes" if (m[1], m[2]) in colors else "No"), (row["id"], text)
                checked["color" + answer] += 1
            else:
                assert side_is_true(text, answer, middles), (row["id"], text)
                checked[PHRASES.get(answer, answer)] += 1
    kinds = ("colorYes", "colorNo", "Yes", "No", *PHRASES.values())
    assert min(checked[kind] for kind in kinds) > 5, checked


def test_rows_about_numbers_are_true_and_of_many_numbers(training_scenes: Path) -> None:
    truth, checked = counts_by_image(training_scenes), Counter[str]()
    for row in read(training_scenes, "counted.json"):
        for text, answer in singles(row):
            assert answer == judged(text, truth[row["image"]]), (row["id"], text)
            checked[" ".join(text.split()[2:3]) + answer] += 1
    assert checked["twoYes"] > 5 and checked["threeYes"] + checked["fourYes"] > 5, checked


def test_answers_about_told_numbers_are_true(training_scenes: Path) -> None:
    checked = Counter[str]()
    for row in read(training_scenes, "told_counted.json"):
        entries, asked = told(row)
        counts = Counter(name for name, _ in entries)
        for question, said in asked:
            assert said == judged(question, counts), (row["id"], question)
            checked[said] += 1
    assert min(checked[kind] for kind in ("Yes", "No", "0", "1", "2", "3")) > 3, checked


def test_answers_about_told_sides_are_true(training_scenes: Path) -> None:
    """From the list alone: the middles of its boxes."""
    checked = Counter[str]()
    for row in read(training_scenes, "told_sides.json"):
        entries, asked = told(row)
        middles = middles_of(entries)
        for question, said in asked:
            kind = " ".join(question.split()[:4])
            checked[kind] += 1
            if kind == "On which side is":
                pairs_said = re.findall(r"rom the (.+?) the (.+?) (\w+)(?:,|$)", said)
                assert len(pairs_said) == len(question.split(": ")[1].split(", "))
                for other, name, where in pairs_said:
                    assert is_on_side(middles[name], where, middles[other]), (row["id"], said)
            elif kind == "On which side of":
                found = words_of(said)
                if not found:
                    found = [(question.split(" is the ")[1].removesuffix("?"), said)]
                for name, where in found:
                    assert is_on_side(middles[name], where, (1.0, 1.0)), (row["id"], said)
            elif kind != "Where in the picture":
                assert side_is_true(question, said, middles), (row["id"], question)
                checked[PHRASES.get(said, said)] += 1
    kinds = ("Yes", "No", *PHRASES.values(), "On which side of", "On which side is")
    kinds += ("Where in the picture",)
    assert min(checked[kind] for kind in kinds) > 3, checked


def test_answers_about_told_pairs_are_true(training_scenes: Path) -> None:
    checked = Counter[str]()
    for row in read(training_scenes, "told_pairs.json"):
        entries, asked = told(row)
        middles = middles_of(entries)
        for question, said in asked:
            assert side_is_true(question, said, middles), (row["id"], question)
            checked[said] += 1
    assert min(checked["Yes"], checked["No"]) > 40, checked
    assert min(checked[where] for where in PHRASES) > 3, checked


def test_what_is_looked_up_stands_in_the_list(training_scenes: Path) -> None:
    checked = Counter[str]()
    for row in read(training_scenes, "told_lists.json"):
        entries, asked = told(row)
        boxes = dict(entries)
        for question, said in asked:
            checked[" ".join(question.split()[:4])] += 1
            if question == "Say that again.":
                assert said == pairs(row)[0][0].removesuffix(f" {question}")
            elif m := re.fullmatch(r"Where exactly is the (.+)\?", question):
                assert boxed(said) == boxes[m[1]]
            elif question.startswith("In which tenth"):
                assert len(words_of(said)) == len(question.split(": ")[1].split(", "))
                for name, tenth in words_of(said):
                    assert int(tenth) == int(10 * boxes[name][0])
            else:
                names = question.removeprefix("Where exactly are these: ").removesuffix("?")
                assert entries_of(said) == [(name, boxes[name]) for name in names.split(", ")]
    assert len(checked) == 4 and min(checked.values()) > 10, checked


@pytest.mark.parametrize("ask", [sides_and_colors, told_pairs])
def test_no_side_follows_from_others_of_the_row(ask: Callable[[Scene, Dice], list[Said]]) -> None:
    side = re.compile(
        r"(?:Is|Where is) the (.+?) (?:on the .* of|above|above or under|under|seen from) the (.+?)"
        r"(?: in the image)?\?"
    )
    chains = 0
    for seed in range(build.FIRST_SEED, build.FIRST_SEED + 60):
        groups: dict[str, list[set[str]]] = {"across": [], "down": []}
        asked = ask(scene(seed), Dice(seed))
        for question, answer in [one for said in asked for one in apart(*said)]:
            if not (m := side.match(question.replace(",", ""))):
                continue
            across = "to the" in answer or "on the" in question
            axis, both = "across" if across else "down", {m[1], m[2]}
            joined = [group for group in groups[axis] if group & both]
            assert not any(both <= group for group in joined), (seed, question)
            groups[axis] = [g for g in groups[axis] if g not in joined] + [both.union(*joined)]
            chains += bool(joined)
    assert chains > 5


def test_a_class_is_counted_once_a_row(training_scenes: Path) -> None:
    plural = {shape.plural: name for name, shape in SHAPES.items()}
    number = re.compile(
        r"(?:Is there only one|Are there \w+|How many) (.+?) (?:are there )?in the \w+\?"
    )
    for row in [
        *read(training_scenes, "counted.json"),
        *read(training_scenes, "told_counted.json"),
    ]:
        asked_first = row["conversations"][0]
        asked_first["value"] = asked_first["value"].split("]. ")[-1]
        texts = [text for text, _ in singles(row)]
        asked = [m[1] for text in texts if (m := number.fullmatch(text))]
        assert len({plural.get(name, name) for name in asked}) == len(texts), row


def test_more_of_a_class_than_is_asked_for_gives_no_question() -> None:
    six_cups = scene(500_000_777)
    cups = replace(six_cups, things=tuple(six_cups.of("cup")))
    assert cups.counts() == {"cup": 6}
    for seed in range(40):
        asked = numbers(cups, Dice(seed))
        assert all(question.startswith("How many of each") and said for question, said in asked)


def test_answers_are_true_of_what_is_told(training_scenes: Path) -> None:
    checked = 0
    for row in read(training_scenes, "told.json"):
        entries, asked = told(row)
        counts = Counter(name for name, _ in entries)
        for text, said in asked:
            assert "<image>" not in text and not text.startswith("What color"), row["id"]
            right = judged(text, counts)
            if right is not None:
                assert said == right, (row["id"], text)
                checked += 1
    assert checked > 300


def test_yes_and_no_are_balanced_in_each_kind(training_scenes: Path) -> None:
    said: dict[str, Counter[str]] = {}
    for row in read(training_scenes):
        for question, answer in pairs(row):
            if answer in ("Yes", "No"):
                kind = " ".join(question.removeprefix("<image>\n").split()[:2])
                said.setdefault(kind, Counter())[answer] += 1
    for kind, counts in said.items():
        if counts.total() >= 50:
            assert 0.3 < counts["Yes"] / counts.total() < 0.7, (kind, counts)
