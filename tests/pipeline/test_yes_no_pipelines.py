"""The prompts of POPE and MME, byte for byte, and how their answers are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import ConfigError
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

SHORT = "\nAnswer the question using a single word or phrase."
YES_NO = " Please answer yes or no."


def _sample(question: str) -> Sample:
    return Sample("x:1", (), question, 1)


@pytest.mark.parametrize("style", ["collavo", "llava", "clean"])
def test_golden_prompts_of_pope(style: str) -> None:
    pipeline = PIPELINES.get("pope")(style=style)
    prompt = pipeline.prompt(_sample("Is there a snowboard in the image?"))
    assert prompt == "Is there a snowboard in the image?" + SHORT


@pytest.mark.parametrize(
    ("style", "end"), [("collavo", SHORT), ("llava", SHORT), ("clean", YES_NO)]
)
def test_golden_prompts_of_mme(style: str, end: str) -> None:
    pipeline = PIPELINES.get("mme")(style=style)
    prompt = pipeline.prompt(
        _sample("Is a c++ code shown in the picture? Please answer yes or no.")
    )
    assert prompt == "Is a c++ code shown in the picture?" + end


@pytest.mark.parametrize("name", ["pope", "mme"])
def test_both_generations_of_names_lead_to_the_pipeline(name: str) -> None:
    cls = PIPELINES.get(name)
    for alias in (f"{name.upper()}Pipeline", f"CoLLaVO{name.upper()}Pipeline"):
        assert PIPELINES.get(alias) is cls
        assert PIPELINES.canonical(alias) == name
    assert cls.answer_type == "yes_no"


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'plain' is unknown; choose from collavo, llava, clean"):
        PIPELINES.get("pope")(style="plain")


def test_the_metadata_names_parts_that_there_are() -> None:
    for name in ("pope_test", "mme"):
        metadata = metadata_of(name)
        assert metadata.pipeline in PIPELINES
        assert metadata.evaluator_type in EVALUATORS
        assert metadata.answer_type == PIPELINES.get(metadata.pipeline).answer_type
        assert all({"model", "metric", "value", "source"} <= set(p) for p in metadata.published)


def test_every_real_prompt_is_that_of_the_original_files(shared: Path, tmp_path: Path) -> None:
    use_root(tmp_path)
    data = shared / "data"
    shutil.copytree(data / "mme/eval_tool/Your_Results", tmp_path / "MME_Benchmark_release_version")
    shutil.copy(data / "mme/llava_mme.jsonl", tmp_path / "MME_Benchmark_release_version")
    shutil.copytree(data / "pope/legacy_2910", tmp_path / "POPE")
    shutil.copy(data / "pope/llava_pope_test.jsonl", tmp_path / "POPE")
    try:
        for name, file in (
            ("mme", "mme/llava_mme.jsonl"),
            ("pope_test", "pope/llava_pope_test.jsonl"),
        ):
            pipeline = PIPELINES.get(metadata_of(name).pipeline)()
            text = (data / file).read_text(encoding="utf-8")
            wanted = [json.loads(line)["text"] for line in text.splitlines()]
            assert [pipeline.prompt(sample) for sample in samples_of(name)] == wanted
    finally:
        use_root("")
