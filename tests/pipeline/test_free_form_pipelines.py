"""The prompts of the free-form benchmarks, byte for byte, in every style."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

STYLES = ("collavo", "llava", "clean")
SHORT = "\nAnswer the question using a single word or phrase."
BLIND = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
BOX = "Please provide the bounding box coordinate of the region this sentence describes: "
FORMAT = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, "
    "bottom-right y). All values are floating point numbers bounded between 0 and 1. "
)
DATASETS = (
    "gqa_testdev_balanced", "textvqa_val", "vqav2_val", "vqav2_testdev", "vizwiz_val",
    "vizwiz_test", "okvqa_val", "chartqa_test", "ocrbench", "refcoco_val", "refcoco_testA",
    "refcoco_testB", "refcocop_val", "refcocop_testA", "refcocop_testB", "refcocog_val",
    "refcocog_test",
)  # fmt: skip


def _asked(name: str, style: str, question: str, **extra: object) -> str:
    return PIPELINES.get(name)(style=style).prompt(Sample("x:1", (), question, 1, extra=extra))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("gqa", "Is it overcast?" + SHORT),
        ("vqav2", "Is it overcast?" + SHORT),
        ("okvqa", "Is it overcast?" + SHORT),
        ("chartqa", "Is it overcast?" + SHORT),
        ("vizwiz", "Is it overcast?" + BLIND + SHORT),
    ],
)
def test_prompts_that_are_one_in_every_style(name: str, style: str, prompt: str) -> None:
    assert _asked(name, style, "Is it overcast?") == prompt


def test_golden_prompts_of_textvqa() -> None:
    listed = "What is it?\nReference OCR token: A, b" + SHORT
    for extra in ({"llava_text": listed}, {"ocr_tokens": ("A", "b")}):
        assert _asked("textvqa", "collavo", "what is it?", **extra) == listed + SHORT
        assert _asked("textvqa", "llava", "what is it?", **extra) == listed
        assert _asked("textvqa", "clean", "what is it?", **extra) == "what is it?" + SHORT
    assert _asked("textvqa", "collavo", "what is it?") == "what is it?" + SHORT + SHORT
    assert _asked("textvqa", "llava", "what is it?") == "what is it?" + SHORT


def test_golden_prompts_of_ocrbench_and_refcoco() -> None:
    assert _asked("ocrbench", "collavo", "what is written?") == "what is written?"
    assert _asked("ocrbench", "clean", "what is written?") == "what is written?"
    assert _asked("ocrbench", "llava", "what is written?") == "what is written?" + SHORT
    assert _asked("refcoco", "collavo", "left dog") == BOX + "left dog"
    assert _asked("refcoco", "llava", "left dog") == BOX + "left dog"
    assert _asked("refcoco", "clean", "left dog") == FORMAT + BOX + "left dog"


@pytest.mark.parametrize(
    "alias",
    ["GQAPipeline", "CoLLaVOGQAPipeline", "TextVQAPipeline", "CoLLaVOTextVQAPipeline",
     "ChartQAPipeline", "VizWizPipeline", "VQAv2Pipeline"],
)  # fmt: skip
def test_both_generations_of_names_resolve(alias: str) -> None:
    short = alias.removeprefix("CoLLaVO").removesuffix("Pipeline").lower()
    assert PIPELINES.canonical(alias) == short


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_name_what_exists(name: str) -> None:
    metadata = metadata_of(name)
    pipeline = PIPELINES.get(metadata.get("pipeline"))
    assert pipeline.answer_type == metadata.get("answer_type")
    EVALUATORS.get(metadata.get("evaluator_type"))
    assert metadata.get("expected")["questions"]


@pytest.mark.parametrize(
    ("dataset", "file", "count"),
    [
        ("gqa_testdev_balanced", "gqa/llava_gqa_testdev_balanced.jsonl", 12578),
        ("vizwiz_test", "vizwiz/llava_test.jsonl", 8000),
        ("textvqa_val", "textvqa/llava_textvqa_val_v051_ocr.jsonl", 5000),
    ],
)
def test_llavas_own_prompts(shared: Path, dataset: str, file: str, count: int) -> None:
    use_root(shared / "data")
    try:
        samples = samples_of(dataset)
    finally:
        use_root("")
    pipeline = PIPELINES.get(metadata_of(dataset).get("pipeline"))(style="llava")
    lines = (shared / "data" / file).read_text(encoding="utf-8").splitlines()
    assert [pipeline.prompt(s) for s in samples] == [json.loads(line)["text"] for line in lines]
    assert len(samples) == count == metadata_of(dataset).get("expected")["questions"]
