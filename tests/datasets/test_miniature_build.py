"""The built miniature: whole, the same every time, true to its scenes, read like the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from collavo.datasets.miniature import build
from collavo.datasets.miniature.benchmarks import mme, pope
from collavo.datasets.miniature.palette import COLORS
from collavo.datasets.miniature.panoptic import decode, encode, segment_color_id
from collavo.datasets.miniature.shapes.catalog import SHAPES
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC
from collavo.datasets.registration.mme import load_mme
from collavo.datasets.registration.mme_tree import TASKS
from collavo.datasets.registration.pope import load_pope
from collavo.datasets.registration.roots import VARIABLES, root, use_root
from collavo.errors import DataError
from collavo.records import Sample

Truth = dict[str, list[dict]]
"""The segments of each image by its stem, with their class names."""

TWICE = """
import sys, time
from pathlib import Path
from collavo.datasets.miniature import build

def together(root):
    (root / "first").write_text("1")
    end = time.monotonic() + 300
    while len(list(root.parent.glob(".miniature-*/first"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    (Path(sys.argv[1]) / root.name).touch()
    while len(list(Path(sys.argv[1]).iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    (root / "second").write_text("2")

build.build = together
print(build.miniature_root())
"""
"""Builds a small miniature while another process is in the middle of building it, too."""


@pytest.fixture
def rooted(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No root is set, so the miniature is the root."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLLAVO_CACHE", str(built.parent))
    use_root("")
    return built


def of(sample: Sample, truth: Truth) -> Counter[str]:
    """Counts the things of each class in the sample's image, by the panoptic files."""
    assert sample.images and sample.images[0].path is not None
    return Counter(s["name"] for s in truth[sample.images[0].path.stem] if s["name"] in SHAPES)


def test_without_a_root_the_datasets_are_the_miniature(rooted: Path) -> None:
    assert root().miniature and root().path == rooted
    samples = load_pope()
    assert Counter(s.category for s in samples) == {name: 120 for name in pope.SPLITS}
    assert len({s.sample_id for s in samples}) == 360
    for sample in samples[::60]:
        assert sample.images and sample.images[0].path is not None
        with Image.open(sample.images[0].path) as image:
            image.load()
            assert image.mode == "RGB" and min(image.size) >= 240


def test_two_processes_build_one_miniature(tmp_path: Path, repository: Path) -> None:
    cache, begun = tmp_path / "cache", tmp_path / "begun"
    begun.mkdir()
    environment = {**os.environ, "COLLAVO_CACHE": str(cache), "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", TWICE, str(begun)]
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=600)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(list(begun.iterdir())) == 2
    assert outputs[0] == outputs[1] == [str(next(cache.iterdir()))]
    assert len(list(cache.iterdir())) == 1
    assert {path.name for path in Path(outputs[0][0]).iterdir()} == {"first", "second"}


def test_building_again_gives_the_same_files(built: Path, tmp_path: Path) -> None:
    build.build(tmp_path)
    files = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (built / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_panoptic_files_decode_to_what_they_list(built: Path) -> None:
    document = json.loads((built / "panoptic" / "panoptic_val.json").read_text())
    assert [(c["id"], c["name"], c["isthing"]) for c in document["categories"]] == [
        (c.id, c.name, c.isthing) for c in COCO_PANOPTIC
    ]
    sizes = {entry["id"]: (entry["width"], entry["height"]) for entry in document["images"]}
    names = [entry["file_name"] for entry in document["images"]]
    assert len(sizes) == len(document["annotations"]) == len(set(names)) == len(names) > 200
    for name in names:
        assert list(built.glob(f"**/{name}")) or list(built.glob("**/*.parquet")), name
    for entry in document["annotations"][::20]:
        with Image.open(built / "panoptic" / "panoptic_val" / entry["file_name"]) as picture:
            ids = decode(picture)
        assert ids.shape[::-1] == sizes[entry["image_id"]]
        segments = entry["segments_info"]
        assert set(np.unique(ids)) - {0} == {segment["id"] for segment in segments}
        for segment in segments:
            mask = coco_mask.encode(np.asfortranarray(ids == segment["id"], np.uint8))
            assert coco_mask.area(mask) == segment["area"]
            assert list(coco_mask.toBbox(mask)) == segment["bbox"]


def test_segment_numbers_survive_the_picture() -> None:
    numbers = np.arange(600, dtype=np.int32).reshape(20, 30)
    ids = decode(encode(numbers))
    assert len(np.unique(ids)) == 600 and ids[0, 0] == 0
    assert ids.max() > 2**16, "all three channels are in use"
    assert all(ids[n // 30, n % 30] == segment_color_id(n) for n in (1, 77, 599))


def test_pope_labels_are_true(rooted: Path, truth: Truth) -> None:
    for sample in load_pope():
        name = sample.question.removesuffix(" in the image?").split(" ", 3)[3]
        assert name in SHAPES, sample.question
        assert (name in of(sample, truth)) == (sample.answers == ("yes",)), sample


def test_pope_negatives_follow_the_authors_rules(rooted: Path, truth: Truth) -> None:
    images: dict[str, set[str]] = {}
    asked: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for sample in load_pope():
        stem = sample.extra["image"]
        images[stem] = set(of(sample, truth))
        name = sample.question.removesuffix(" in the image?").split(" ", 3)[3]
        asked[stem, sample.category].append((name, sample.answers[0]))
    frequency = Counter(name for names in images.values() for name in names)
    for (stem, split), rows in asked.items():
        assert [label for _, label in rows] == ["yes", "no"] * 3
        assert len({name for name, _ in rows}) == 6
        assert [name for name, _ in rows[::2]] == [n for n, _ in asked[stem, "random"][::2]]
        before: set[str] = set()
        for (positive, _), (negative, _) in zip(rows[::2], rows[1::2], strict=True):
            rest = [n for n in frequency if n not in images[stem] and n not in before]
            together = {n: sum({positive, n} <= names for names in images.values()) for n in rest}
            if split == "popular":
                assert frequency[negative] == max(frequency[n] for n in rest)
            elif split == "adversarial" and max(together.values()):
                assert together[negative] == max(together.values())
            before.add(negative)


def test_pope_questions_take_the_article_of_their_word() -> None:
    rows = pope.questions(
        {f"x_{k}.jpg": ["apple", "car", "umbrella"] for k in (1, 2)}
        | {"x_3.jpg": ["dog", "cat", "bird", "kite", "airplane", "boat"]},
        "random",
    )
    texts = {str(row["text"]) for row in rows}
    assert "Is there an apple in the image?" in texts and "Is there a car in the image?" in texts
    assert [row["question_id"] for row in rows] == list(range(1, 19))


def test_mme_is_the_official_tree(rooted: Path) -> None:
    base = rooted / "MME_Benchmark_release_version"
    assert {path.name for path in base.iterdir()} == set(TASKS)
    for task in TASKS:
        nested = task in ("artwork", "celebrity", "landmark", "posters", "scene")
        inside = {path.name for path in (base / task).iterdir()}
        assert (inside == {"images", "questions_answers_YN"}) == nested
    samples = load_mme()
    counts = Counter(sample.category for sample in samples)
    assert set(counts) == set(TASKS)
    assert all(count >= 10 for count in counts.values())
    pairs: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        assert sample.images and sample.images[0].path is not None
        assert sample.images[0].path.is_file()
        pairs[sample.extra["image"]].append(sample.answers[0])
    assert all(answers == ["yes", "no"] for answers in pairs.values())
    line = (base / "OCR" / "0501.txt").read_text().splitlines()[0]
    assert line == 'Is the word in the logo "sunny market"? Please answer yes or no.\tYes'


def test_mme_answers_about_scenes_are_true(rooted: Path, truth: Truth) -> None:
    plural = {shape.plural: name for name, shape in SHAPES.items()}
    judged: Counter[str] = Counter()
    for sample in load_mme():
        words = sample.question.removesuffix(" Please answer yes or no.").rstrip("?").split()
        yes = sample.answers == ("yes",)
        if sample.category == "existence":
            assert (" ".join(words[3:-3]) in of(sample, truth)) == yes, sample
        elif sample.category == "count" and words[:2] == ["Are", "there"]:
            name = plural[" ".join(words[3:-3])]
            assert (of(sample, truth)[name] == mme.NUMBERS.index(words[2])) == yes, sample
        elif sample.category == "count":
            assert (of(sample, truth)[" ".join(words[4:-3])] == 1) == yes, sample
        elif sample.category == "position":
            assert position_holds(sample, words, truth) == yes, sample
        else:
            continue
        judged[sample.category] += 1
    assert judged == dict.fromkeys(("existence", "count", "position"), 2 * mme.SCENES_A_TASK)


def position_holds(sample: Sample, words: list[str], truth: Truth) -> bool:
    """Judges "Is the A on the left of the B in the image" by the boxes of A and B."""
    text = " ".join(words[2:-3])
    where = next(w for w in ("on the left of", "on the right of", "above", "under") if w in text)
    first, second = text.split(f" {where} the ")
    assert sample.images and sample.images[0].path is not None
    segments = {s["name"]: s["bbox"] for s in truth[sample.images[0].path.stem]}
    (ax, ay, aw, ah), (bx, by, bw, bh) = segments[first], segments[second]
    return {
        "on the left of": ax + aw <= bx,
        "on the right of": bx + bw <= ax,
        "above": ay + ah <= by,
        "under": by + bh <= ay,
    }[where]


def test_mme_colours_are_seen_in_the_picture(rooted: Path, truth: Truth) -> None:
    """The colour asked for is the named one that most of the object's pixels are nearest to."""
    hits = total = 0
    for sample in load_mme():
        if sample.category != "color" or sample.answers != ("yes",):
            continue
        words = sample.question.split("?")[0].removesuffix(" in the image").split()
        color, name = words[3], " ".join(words[4:])
        assert sample.images and sample.images[0].path is not None
        with Image.open(sample.images[0].path) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
        stem = sample.images[0].path.stem
        ids = decode(Image.open(rooted / "panoptic" / "panoptic_val" / f"{stem}.png"))
        choices = SHAPES[name].colors
        votes: Counter[str] = Counter()
        for segment in truth[stem]:
            if segment["name"] == name:
                own = pixels[ids == segment["id"]]
                table = np.array([COLORS[c] for c in choices], np.float32)
                distance = ((own[:, None] - table) ** 2).sum(-1)
                near = distance.min(1) < 40**2
                votes.update(choices[k] for k in distance.argmin(1)[near])
        total += 1
        hits += votes[color] >= 0.2 * sum(votes.values())
    assert total == mme.SCENES_A_TASK and hits >= 0.9 * total


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written to .*file .*set COLLAVO_CACHE"):
        build.miniature_root()


def test_a_broken_build_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: Path) -> None:
        (root / "half").write_text("")
        raise OSError(28, "No space left on device")

    old = tmp_path / ".miniature-old"
    old.mkdir()
    os.utime(old, (0, 0))
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "build", fail)
    with pytest.raises(DataError, match=r"No space left on device.*make room"):
        build.miniature_root()
    assert not list(tmp_path.iterdir())
