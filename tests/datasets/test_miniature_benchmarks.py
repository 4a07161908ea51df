"""The miniature benchmarks: read by their registrations, scored right and wrong, and true.

What can be told from the pictures' own data (panoptic files, tables, pixels) is told from them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collavo.datasets.evaluation.base import Evaluation
from collavo.datasets.miniature.benchmarks import vizwiz
from collavo.datasets.miniature.coco import IMAGES
from collavo.datasets.miniature.scenes import EVALUATION_SEEDS
from collavo.datasets.registration import catalog
from collavo.records import Sample
from collavo.registry import EVALUATORS

Best = Callable[[Sample], str]

COUNTS = {
    "ai2d": (25, 10),
    "aokvqa_val": (24, 12),
    "aokvqa_val_direct": (24, 12),
    "chartqa_test": (40, 8),
    "gqa_testdev_balanced": (65, 5),
    "hallusionbench": (50, 21),
    "llavabench": (24, 8),
    "mathvista_test": (9, 9),
    "mathvista_testmini": (26, 19),
    "mm-vet": (20, 15),
    "mmbench": (39, 11),
    "mmbench_cn": (39, 11),
    "mmbench_test": (16, 4),
    "mmbench_test_cn": (16, 4),
    "mme": (390, 195),
    "mmmu_val": (26, 18),
    "ocrbench": (30, 30),
    "okvqa_val": (40, 20),
    "pope_test": (360, 20),
    "qbench_cn_dev": (24, 24),
    "qbench_cn_test": (8, 8),
    "qbench_dev": (24, 24),
    "qbench_test": (8, 8),
    "refcoco_testA": (13, 7),
    "refcoco_testB": (18, 7),
    "refcoco_val": (23, 21),
    "refcocog_test": (19, 12),
    "refcocog_val": (17, 12),
    "refcocop_testA": (8, 4),
    "refcocop_testB": (15, 7),
    "refcocop_val": (20, 14),
    "scienceqa_test": (21, 7),
    "seed": (43, 16),
    "textvqa_val": (25, 14),
    "vizwiz_test": (10, 10),
    "vizwiz_val": (24, 24),
    "vqav2_testdev": (24, 8),
    "vqav2_val": (40, 20),
}
"""Questions and different images of every dataset of the miniature."""

HIDDEN = {
    "mathvista_test", "mmbench_test", "mmbench_test_cn", "qbench_test", "qbench_cn_test",
    "vizwiz_test", "vqav2_testdev",
}  # fmt: skip
"""Their answers are not given away."""

JUDGED = {"llavabench", "mm-vet"}
"""These have no score without a judge."""


def scored(name: str, samples: list[Sample], answer: Best) -> Evaluation:
    metadata = catalog.metadata_of(name)
    evaluator = EVALUATORS.get(metadata.get("evaluator_type"))()
    answers = {sample.sample_id: answer(sample) for sample in samples}
    return evaluator.evaluate(samples, answers, metadata.as_dict())


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_every_dataset_is_read_and_scored(name: str, rooted: Path, best: Best) -> None:
    samples = catalog.samples_of(name)
    images = {sample.images[0].digest() for sample in samples if sample.images}
    assert (len(samples), len(images)) == COUNTS[name]
    for sample in samples:
        if sample.images:
            assert len(sample.images[0].read()) > 500
    right = scored(name, samples, best)
    if name in HIDDEN | JUDGED:
        assert not right.headline
        assert (name in JUDGED) == all(sample.answers for sample in samples)
        return
    assert all(sample.answers for sample in samples)
    left_out = {None} if name == "aokvqa_val_direct" else set()  # its difficult questions
    assert {score.correct for score in right.per_sample.values()} == {1.0} | left_out
    wrong = scored(name, samples, lambda sample: "nothing of this kind")
    assert right.headline.keys() == wrong.headline.keys() and right.headline
    for figure, value in right.headline.items():
        assert value > 0 and wrong.headline[figure] <= 0.67 * value, figure


def test_no_dataset_is_without_a_miniature(rooted: Path) -> None:
    probes = {name for name in catalog.dataset_names() if name.startswith("probe_")}
    assert set(catalog.dataset_names()) - probes == set(COUNTS)


def test_rotations_of_mmbench_move_the_options_and_the_answer(rooted: Path, said: Best) -> None:
    for name in ("mmbench", "mmbench_cn"):
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in catalog.samples_of(name):
            groups[sample.extra["group"]].append(sample)
        assert {len(rows) for rows in groups.values()} == {2, 3, 4}
        for rows in groups.values():
            first = rows[0]
            assert len(rows) == len(first.options)
            for turn, row in enumerate(rows):
                assert row.options == first.options[turn:] + first.options[:turn]
                assert (said(row), row.question) == (said(first), first.question)
                assert row.question_id == int(first.question_id) + 1_000_000 * turn


def test_both_languages_of_mmbench_and_qbench_ask_the_same(rooted: Path) -> None:
    for english, chinese in (("mmbench", "mmbench_cn"), ("qbench_dev", "qbench_cn_dev")):
        pairs = zip(catalog.samples_of(english), catalog.samples_of(chinese), strict=True)
        for one, other in pairs:
            assert one.answers == other.answers and len(one.options) == len(other.options)
            assert (
                one.images and other.images and one.images[0].digest() == other.images[0].digest()
            )
            assert re.search("[\u4e00-\u9fff]", other.question) and one.question.isascii()


def test_altered_figures_of_hallusionbench_alter_the_answer(rooted: Path) -> None:
    pairs: dict[tuple[str, ...], dict[str, Sample]] = defaultdict(dict)
    for sample in catalog.samples_of("hallusionbench"):
        extra = sample.extra
        assert (not sample.images) == (extra["visual_input"] == "0")
        key = (extra["category"], extra["subcategory"], extra["set_id"], extra["question"])
        pairs[key][extra["figure_id"]] = sample
    assert {key[:2] for key in pairs} == {
        *(("VS", kind) for kind in ("chart", "table", "map", "ocr")),
        *(("VD", kind) for kind in ("illusion", "math", "figure", "ocr", "video")),
    }
    for (category, *_), figures in pairs.items():
        assert len({s.answers for s in figures.values()}) == 2, "a figure decides"
        if category == "VS":
            assert figures["0"].answers == figures["1"].answers != figures["2"].answers


def test_letters_stand_in_the_place_of_labels(rooted: Path) -> None:
    folder = rooted / "ai2d" / "ai2d_images"
    lettered = [s for s in catalog.samples_of("ai2d") if s.category == "abc"]
    assert len(lettered) >= 5
    for sample in lettered:
        assert sample.options == ("A", "B", "C", "D")
        assert sample.images and sample.images[0].path is not None
        assert sample.images[0].path.parent == folder / "abc_images"
        plain = folder / "images" / sample.images[0].path.name
        with Image.open(plain) as one, Image.open(sample.images[0].path) as other:
            assert one.size == other.size and one.tobytes() != other.tobytes()


def test_ten_people_answered_and_most_of_them_right(rooted: Path) -> None:
    for name in ("vqav2_val", "okvqa_val", "textvqa_val", "vizwiz_val", "aokvqa_val_direct"):
        samples = catalog.samples_of(name)
        assert {len(sample.answers) for sample in samples} == {10}
        agreed = [Counter(sample.answers).most_common(1)[0][1] for sample in samples]
        assert min(agreed) >= 8 and max(agreed) == 10


def test_what_cannot_be_told_is_not_in_the_picture(rooted: Path, best: Best) -> None:
    spreads = defaultdict(list)
    for sample in catalog.samples_of("vizwiz_val"):
        assert sample.images and sample.images[0].path is not None
        with Image.open(sample.images[0].path) as image:
            edges = np.abs(np.diff(np.asarray(image.convert("L"), np.float32), axis=1))
        spreads[best(sample) == vizwiz.UNANSWERABLE].append(edges.max())
    assert len(spreads[True]) == 4
    assert max(spreads[True]) < 25 < 80 < min(spreads[False])


@pytest.mark.parametrize(
    "file",
    [
        "VQAv2/v2_OpenEnded_mscoco_test-dev2015_questions.json",
        "VizWiz/Annotations/test.json",
        "LLVisionQA-QBench/llvisionqa_test.json",
        "MMBench/MMBench_TEST_EN_legacy.tsv",
        "MMBench/MMBench_TEST_CN_legacy.tsv",
    ],
)
def test_files_of_hidden_answers_hold_none(file: str, rooted: Path) -> None:
    text = (rooted / file).read_text(encoding="utf-8")
    assert "question" in text
    assert not re.search(r"answer|correct|label", text[:4000])


def test_images_of_hidden_splits_are_their_own(rooted: Path) -> None:
    for known, hidden in (("vqav2_val", "vqav2_testdev"), ("vizwiz_val", "vizwiz_test"),
                          ("qbench_dev", "qbench_test"), ("mmbench", "mmbench_test")):  # fmt: skip
        one, other = (
            {s.images[0].digest() for s in catalog.samples_of(name) if s.images}
            for name in (known, hidden)
        )
        assert not one & other


def test_scenes_are_of_evaluation_seeds_and_small_enough_to_keep(built: Path) -> None:
    document = json.loads((built / "panoptic" / "panoptic_val.json").read_text())
    scenes = [image["id"] for image in document["images"] if image["id"] >= 10**6]
    assert len(scenes) > 200 and all(seed in EVALUATION_SEEDS for seed in scenes)
    assert len([s for s in scenes if s < EVALUATION_SEEDS[1] + IMAGES]) == IMAGES
    files = [path for path in built.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
