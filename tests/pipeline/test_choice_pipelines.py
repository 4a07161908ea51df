"""The prompts of the multiple-choice benchmarks, byte for byte, in every style."""

from __future__ import annotations

from typing import Any

import pytest

from collavo.datasets.registration.catalog import metadata_of
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

LETTER = "\nAnswer with the option's letter from the given choices directly."
SHORT = "\nAnswer the question using a single word or phrase."
CN = "\n请直接回答选项字母。"

NAMES = {
    "scienceqa_test": "SQA", "mmbench": "MMBench", "mmbench_cn": "MMBench",
    "mmbench_test": "MMBench", "mmbench_test_cn": "MMBench", "ai2d": "AI2D", "seed": "SEED",
    "qbench_dev": "QBench", "qbench_test": "QBench", "qbench_cn_dev": "QBench",
    "qbench_cn_test": "QBench",
}  # fmt: skip


def _sample(dataset: str, *options: str, **extra: Any) -> Sample:
    return Sample(f"{dataset}:1", (), "Which one?", 1, options or ("cat", "dog"), extra=extra)


@pytest.mark.parametrize(
    ("dataset", "style", "extra", "prompt"),
    [
        ("scienceqa_test", "collavo", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("scienceqa_test", "collavo", {"has_image": True, "hint": "Look."},
         "\nContext: Look.\nWhich one?\nA. cat\nB. dog" + LETTER),
        ("scienceqa_test", "llava", {"has_image": True, "hint": "Look."},
         "Context: Look.\nWhich one?\nA. cat\nB. dog" + LETTER),
        ("scienceqa_test", "clean", {"has_image": True}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("scienceqa_test", "collavo", {"text": "<image>\nAs said"}, "\nAs said" + LETTER),
        ("mmbench", "collavo", {"hint": "Look."}, "Look.\nWhich one?\nA. cat\nB. dog" + LETTER),
        ("mmbench", "llava", {"hint": "nan"}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("mmbench", "clean", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("mmbench_cn", "collavo", {}, "Which one?\nA. cat\nB. dog" + CN),
        ("mmbench_test_cn", "llava", {}, "Which one?\nA. cat\nB. dog" + CN),
        ("ai2d", "collavo", {}, "Which one?\nA. cat\nB. dog\n" + LETTER),
        ("ai2d", "llava", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("ai2d", "clean", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("seed", "collavo", {}, "Which one?\nA. cat B. dog" + LETTER),
        ("seed", "llava", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("seed", "clean", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("qbench_dev", "collavo", {}, "Which one?\nA. cat\nB. dog\n" + LETTER),
        ("qbench_dev", "llava", {},
         "Which one?\nChoose between one of the options as follows:\nA. cat\nB. dog\n"),
        ("qbench_dev", "clean", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("qbench_cn_dev", "collavo", {}, "Which one?\nA. cat\nB. dog\n" + LETTER),
        ("qbench_cn_dev", "llava", {}, "Which one?\\在下列选项中选择一个:\nA. cat\nB. dog\n"),
        ("qbench_cn_test", "clean", {}, "Which one?\nA. cat\nB. dog" + CN),
        ("mmmu_val", "collavo", {}, "Which one?\n(A) cat\n(B) dog\n" + LETTER),
        ("mmmu_val", "llava", {}, "Which one?\n(A) cat\n(B) dog\n" + LETTER),
        ("mmmu_val", "clean", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("mmmu_val", "collavo", {"question_type": "open"}, "Which one?" + SHORT),
        ("mmmu_val", "clean", {"question_type": "open"}, "Which one?" + SHORT),
        ("aokvqa_val", "collavo", {}, "Which one?\nA. cat\nB. dog" + LETTER),
        ("aokvqa_val_direct", "clean", {}, "Which one?" + SHORT),
    ],
)  # fmt: skip
def test_golden_prompts(dataset: str, style: str, extra: dict[str, Any], prompt: str) -> None:
    pipeline = PIPELINES.get(metadata_of(dataset).pipeline)(style=style)
    assert pipeline.prompt(_sample(dataset, **extra)) == prompt


def test_places_of_images_are_worded_in_the_clean_style() -> None:
    sample = Sample("mmmu_val:1", (), "See <image 1>.", 1, ("<image 2>", "x"))
    prompts = [PIPELINES.get("mmmu")(style=s).prompt(sample) for s in ("collavo", "clean")]
    assert prompts[0] == "See <image 1>.\n(A) <image 2>\n(B) x\n" + LETTER
    assert prompts[1] == "See (image 1).\nA. (image 2)\nB. x" + LETTER


def test_the_originals_list_four_options_at_most() -> None:
    five = ("a", "b", "c", "d", "e")
    for name in ("ai2d", "qbench_dev"):
        pipeline = PIPELINES.get(metadata_of(name).pipeline)
        assert "E. e" not in pipeline(style="collavo").prompt(_sample(name, *five))
        assert "E. e" in pipeline(style="clean").prompt(_sample(name, *five))
    assert "D. d E. e" in PIPELINES.get("seed")().prompt(_sample("seed", *five))


@pytest.mark.parametrize(("dataset", "name"), NAMES.items())
def test_both_generations_of_names_lead_to_the_pipeline(dataset: str, name: str) -> None:
    metadata = metadata_of(dataset)
    cls = PIPELINES.get(metadata.pipeline)
    assert PIPELINES.get(f"{name}Pipeline") is cls
    assert PIPELINES.get(f"CoLLaVO{name}Pipeline") is cls
    assert cls.answer_type == metadata.answer_type == "choice"
    assert metadata.evaluator_type in EVALUATORS
    for row in metadata.published:
        assert {"model", "metric", "value", "unit", "source"} <= set(row)
