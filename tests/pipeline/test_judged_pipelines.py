"""The prompts of MM-Vet, LLaVA-Bench, MathVista and HallusionBench, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.config import get_cfg
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.roots import use_root
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES

STYLES = ("collavo", "llava", "clean")
DATASETS = ("mm-vet", "llavabench", "mathvista_testmini", "mathvista_test", "hallusionbench")
QUERY = "Hint: Please answer the question …\nQuestion: How many?\nChoices:\n(A) 1\n(B) 2"


@pytest.mark.parametrize("style", STYLES)
def test_golden_prompts(style: str) -> None:
    sample = Sample("x:1", (), "Is the left circle larger? ", 1, extra={"query": QUERY})
    prompts = {
        name: PIPELINES.get(name)(style=style).prompt(sample)
        for name in ("mm-vet", "llavabench", "mathvista", "hallusionbench")
    }
    clean = style == "clean"
    assert prompts == {
        "mm-vet": "Is the left circle larger? ",
        "llavabench": "Is the left circle larger? ",
        "mathvista": QUERY,
        "hallusionbench": "Is the left circle larger? "
        + ("Please answer yes or no." if clean else ""),
    }


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("MMVetPipeline", "mm-vet"), ("CoLLaVOMMVetPipeline", "mm-vet"),
        ("MathVistaPipeline", "mathvista"), ("CoLLaVOMathVistaPipeline", "mathvista"),
        ("HallusionBenchPipeline", "hallusionbench"), ("HallusionPipeline", "hallusionbench"),
        ("CoLLaVOHallusionPipeline", "hallusionbench"), ("LLaVABenchPipeline", "llavabench"),
    ],
)  # fmt: skip
def test_both_generations_of_names(alias: str, name: str) -> None:
    assert PIPELINES.canonical(alias) == name


@pytest.mark.parametrize("name", DATASETS)
def test_the_metadata_names_parts_that_there_are(name: str) -> None:
    metadata = metadata_of(name)
    assert metadata.pipeline in PIPELINES and metadata.evaluator_type in EVALUATORS
    assert metadata.answer_type == PIPELINES.get(metadata.pipeline).answer_type
    assert all({"model", "metric", "value", "source"} <= set(p) for p in metadata.published)
    tokens = get_cfg(benchmark=metadata.benchmark).GENERATION.MAX_NEW_TOKENS
    assert tokens == (1024 if name == "llavabench" else 128)


def test_every_real_prompt_is_that_of_the_files(shared: Path) -> None:
    data = shared / "data"
    use_root(data)
    try:
        queries = json.loads((data / "mathvista/query.json").read_text(encoding="utf-8"))
        pipeline = PIPELINES.get("mathvista")()
        samples = samples_of("mathvista_testmini")
        assert len(samples) == 1000
        assert all(pipeline.prompt(s) == queries[str(s.question_id)] for s in samples)
        lines = (data / "mmvet/llava-mm-vet.jsonl").read_text(encoding="utf-8").splitlines()
        asked = [json.loads(line)["text"] for line in lines]
        pipeline = PIPELINES.get("mm-vet")()
        assert [pipeline.prompt(s) for s in samples_of("mm-vet")] == asked
    finally:
        use_root("")
