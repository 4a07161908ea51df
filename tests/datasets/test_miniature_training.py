"""Training scenes: true answers, LLaVA's form, the same files for any number of processes."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.panoptic import decode
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS, scene
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.miniature.training import build
from collavo.datasets.miniature.training.checks import sides_and_colors
from collavo.datasets.miniature.training.turns import OPTION_LETTER, SHORT_ANSWER, YES_OR_NO
from collavo.errors import ConfigError, DataError
from collavo.pipeline import base
from collavo.pipeline.mme import MMEPipeline
from collavo.records import Sample

SCENES = 36
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "root"
    build.write(folder, SCENES, processes=1)
    return folder


def read(root: Path, name: str = "instructions.json") -> list[dict[str, Any]]:
    return json.loads((root / name).read_text())


def pairs(row: dict[str, Any]) -> list[tuple[str, str]]:
    texts = [turn["value"] for turn in row["conversations"]]
    return list(zip(texts[::2], texts[1::2], strict=True))


def plain(question: str) -> str:
    """A question without the image's tag and what asks for the form of the answer."""
    return question.removeprefix("<image>\n").removesuffix(SHORT_ANSWER).removesuffix(YES_OR_NO)


def counts_by_image(root: Path) -> dict[str, Counter[str]]:
    document = json.loads((root / "panoptic_train.json").read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    return {
        files[a["image_id"]]: Counter(names[s["category_id"]] for s in a["segments_info"])
        for a in document["annotations"]
    }


def judged(question: str, counts: Counter[str]) -> str | None:
    """What a question about classes has to be answered, by the panoptic file alone."""
    plural = {shape.plural: name for name, shape in SHAPES.items()}
    if (m := re.fullmatch(r"Is there (?:a|an) (.+) in (?:the|this) image\?", question)) and (
        m[1] in SHAPES
    ):
        return "Yes" if counts[m[1]] else "No"
    if m := re.fullmatch(r"Is there only one (.+) in the image\?", question):
        return "Yes" if counts[m[1]] == 1 else "No"
    if m := re.fullmatch(r"Are there (\w+) (.+) in the image\?", question):
        return "Yes" if counts[plural[m[2]]] == NUMBERS.index(m[1]) else "No"
    if m := re.fullmatch(r"How many (.+) are there in the picture\?", question):
        return str(counts[plural[m[1]]])
    return None


def test_endings_are_those_of_the_pipelines() -> None:
    assert SHORT_ANSWER == base.SHORT_ANSWER
    assert OPTION_LETTER == base.OPTION_LETTER
    sample = Sample("s", None, f"Is it?{YES_OR_NO}", 1)
    assert MMEPipeline().prompt(sample) == f"Is it?{SHORT_ANSWER}"
    assert MMEPipeline("clean").prompt(sample) == f"Is it?{YES_OR_NO}"


def test_rows_have_llavas_form(root: Path) -> None:
    rows = read(root)
    assert len({row["id"] for row in rows}) == len(rows) == SCENES * build.CONVERSATIONS
    for row in rows:
        assert (root / "images" / row["image"]).is_file()
        senders = [turn["from"] for turn in row["conversations"]]
        assert senders == ["human", "gpt"] * (len(senders) // 2)
        texts = [turn["value"] for turn in row["conversations"]]
        assert texts[0].startswith("<image>\n")
        assert sum(text.count("<image>") for text in texts) == 1
        assert all(text.strip() == text and text for text in texts)
        assert len(pairs(row)) >= 6


def test_answers_about_classes_and_numbers_are_true(root: Path) -> None:
    truth, checked = counts_by_image(root), Counter[str]()
    for row in read(root):
        for question, answer in pairs(row):
            text = plain(question)
            right = judged(text, truth[row["image"]])
            if right is not None:
                assert answer == right, (row["id"], question)
                checked[text.split()[0] + text.split()[1] + answer] += 1
    assert checked["IsthereYes"] > 20 and checked["IsthereNo"] > 20
    assert checked["ArethereYes"] > 5 and checked["ArethereNo"] > 5


def test_checks_of_colours_and_positions_are_true(root: Path) -> None:
    document = json.loads((root / "panoptic_train.json").read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in document["images"]}
    segments = {files[a["image_id"]]: a["segments_info"] for a in document["annotations"]}
    checked = Counter[str]()
    for row in read(root, "checks.json"):
        found: dict[str, list[dict[str, Any]]] = {}
        for segment in segments[row["image"]]:
            found.setdefault(names[segment["category_id"]], []).append(segment)
        for question, answer in pairs(row):
            text = plain(question)
            if m := re.fullmatch(r"Is there an? (\w+) (.+) in the image\?", text):
                right = m[1] in {segment["color"] for segment in found.get(m[2], ())}
                kind = "color"
            else:
                m = re.fullmatch(
                    r"Is the (.+?) (on the|above|under)(.*) the (.+) in the image\?", text
                )
                assert m is not None, text
                (first,), (second,) = (
                    [(x + w / 2, y + h / 2) for x, y, w, h in (s["bbox"] for s in found[name])]
                    for name in (m[1], m[4])
                )
                right = {
                    "left": first[0] < second[0],
                    "right": first[0] > second[0],
                    "above": first[1] < second[1],
                    "under": first[1] > second[1],
                }[(m[2] + m[3]).removeprefix("on the ").removesuffix(" of")]
                kind = "position"
            assert answer == ("Yes" if right else "No"), (row["id"], text)
            checked[kind + answer] += 1
    assert min(checked[k + a] for k in ("color", "position") for a in ("Yes", "No")) > 10


def test_rows_about_numbers_are_true_and_of_many_numbers(root: Path) -> None:
    truth, checked = counts_by_image(root), Counter[str]()
    for row in read(root, "counted.json"):
        for question, answer in pairs(row):
            text = plain(question)
            assert answer == judged(text, truth[row["image"]]), (row["id"], question)
            checked[" ".join(text.split()[2:3]) + answer] += 1
    assert checked["twoYes"] > 5 and checked["threeYes"] + checked["fourYes"] > 5, checked


def test_no_side_follows_from_others_of_the_row() -> None:
    side = re.compile(r"Is the (.+?) (on the|above|under).* the (.+) in the image\?")
    chains = 0
    for seed in range(build.FIRST_SEED, build.FIRST_SEED + 60):
        groups: dict[str, list[set[str]]] = {"across": [], "down": []}
        for question, _ in sides_and_colors(scene(seed), Dice(seed)):
            if not (m := side.match(question)):
                continue
            axis, both = "across" if m[2] == "on the" else "down", {m[1], m[3]}
            joined = [group for group in groups[axis] if group & both]
            assert not any(both <= group for group in joined), (seed, question)
            groups[axis] = [g for g in groups[axis] if g not in joined] + [both.union(*joined)]
            chains += bool(joined)
    assert chains > 5


def test_a_class_is_counted_once_a_row(root: Path) -> None:
    plural = {shape.plural: name for name, shape in SHAPES.items()}
    number = re.compile(r"(?:Is there only one|Are there \w+) (.+) in the image\?")
    for row in read(root, "counted.json"):
        asked = [m[1] for question, _ in pairs(row) if (m := number.fullmatch(plain(question)))]
        assert len({plural.get(name, name) for name in asked}) == len(pairs(row)), row


def test_answers_are_true_of_what_is_told(root: Path) -> None:
    checked = 0
    for row in read(root, "told.json"):
        assert "image" not in row
        (first, answer), *others = pairs(row)
        told, question = first.split("]. ", 1)
        counts = Counter(re.findall(r"\(#\d+ ([^)]+)\)", told))
        for text, said in ((question, answer), *others):
            assert "<image>" not in text and not text.startswith("What color"), row["id"]
            text = text.removesuffix(SHORT_ANSWER).removesuffix(YES_OR_NO)
            right = judged(text, counts)
            if right is not None:
                assert said == right, (row["id"], text)
                checked += 1
            if text.startswith("How many of each"):
                numbers = dict(part.rsplit(" ", 1) for part in said.split(", "))
                assert {name: str(counts[name]) for name in numbers} == numbers
                checked += len(numbers)
    assert checked > 300


def test_yes_and_no_are_balanced_in_each_kind(root: Path) -> None:
    said: dict[str, Counter[str]] = {}
    for row in read(root):
        for question, answer in pairs(row):
            if answer in ("Yes", "No"):
                kind = " ".join(question.removeprefix("<image>\n").split()[:2])
                said.setdefault(kind, Counter())[answer] += 1
    for kind, counts in said.items():
        if counts.total() >= 50:
            assert 0.3 < counts["Yes"] / counts.total() < 0.7, (kind, counts)


def test_panoptic_files_and_pictures_are_those_of_the_scenes(root: Path) -> None:
    document = json.loads((root / "panoptic_train.json").read_text())
    assert len(document["images"]) == len(document["annotations"]) == SCENES
    drawn = scene(build.FIRST_SEED)
    entry, annotation = document["images"][0], document["annotations"][0]
    assert (entry["id"], entry["width"], entry["height"]) == (drawn.seed, *drawn.image.size)
    with Image.open(root / "panoptic_train" / annotation["file_name"]) as picture:
        ids = decode(picture)
    for segment in annotation["segments_info"]:
        assert (ids == segment["id"]).sum() == segment["area"]


def test_no_evaluation_scene_can_be_reached() -> None:
    most = build.TRAINING_SEEDS.stop - build.FIRST_SEED
    assert build.FIRST_SEED + most <= EVALUATION_SEEDS.start
    for scenes in (0, -1, most + 1):
        with pytest.raises(ConfigError, match=rf"training scenes 1\.\.{most}; asked for {scenes}"):
            build.training_root(scenes)


def test_any_number_of_processes_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BLOCK", 2)
    for name, processes in (("one", 1), ("two", 2)):
        build.write(tmp_path / name, 4, processes)
    files = [p.relative_to(tmp_path / "one") for p in sorted((tmp_path / "one").rglob("*.*"))]
    assert len(files) == 4 + 4 + 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_folder_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_draw", fail_at_second())
    with pytest.raises(DataError, match="training scenes cannot be written to .*No space left"):
        build.training_root(3)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    folder = build.training_root(2)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert build.training_root(2) == folder
    assert len(read(folder)) == 2 * build.CONVERSATIONS


def fail_at_second() -> Any:
    draw, called = build._draw, []

    def drawn(root: Path, seed: int) -> build.Drawn:
        called.append(seed)
        if len(called) == 2:
            raise OSError(28, "No space left on device")
        return draw(root, seed)

    return drawn
