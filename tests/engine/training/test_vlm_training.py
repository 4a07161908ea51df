"""Dual QLoRA on the built-in model through the command line: processes, artefact, merge, eval."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from collavo.datasets.miniature.panoptic import write_panoptic
from collavo.datasets.miniature.scenes import scene

Run = Callable[..., subprocess.CompletedProcess[str]]

STAGE = """
LORA: {{ALPHA: 8, RANK: 8}}
LLM: {{BITS: 4}}
OPTIMIZER: {{LR: 1.0e-3, LAST_LR: 1.0e-4}}
SEGMENTER: {{NAME: precomputed, PRECOMPUTED: {{JSON: {data}/panoptic.json}}}}
TRAIN:
  BATCH_SIZE: 4
  DATA:
    - {{name: vl, format: llava, path: {data}/vl.json, images: {data}/images}}
    - {{name: crayon, format: panoptic, path: {data}/panoptic.json, images: {data}/images,
        kind: image, crayon_text: false}}
  IMAGE_STEPS: 0.5
  MAX_STEPS: 4
  MODULES:
    - module: crayon
    - module: crayon_projector
    - module: crayon_branch
    - {{module: llm, mode: adapters}}
  PLORA_DROPOUT: 0.0
  SAVE_STEPS: 2
  STAGE: cit
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage's configuration with four scenes of conversations and crayon instructions."""
    folder = tmp_path_factory.mktemp("stage")
    (folder / "images").mkdir()
    (folder / "panoptic").mkdir()
    rows, scenes = [], []
    for seed in range(4):
        drawn = scene(seed)
        name = f"{seed:012d}.jpg"
        drawn.image.save(folder / "images" / name)
        scenes.append((name, drawn))
        turns = [
            {"from": who, "value": text}
            for thing in list(drawn.counts())[:2]
            for who, text in (("human", f"Is there a {thing} in the image?"), ("gpt", "Yes"))
        ]
        turns[0]["value"] = "<image>\n" + turns[0]["value"]
        rows.append({"id": str(seed), "image": name, "conversations": turns})
    (folder / "vl.json").write_text(json.dumps(rows))
    write_panoptic(folder / "panoptic.json", folder / "panoptic", scenes)
    file = folder / "stage.yaml"
    file.write_text(STAGE.format(data=folder))
    return file


def train(lbk: Run, stage: Path, name: str, **keys: Any) -> list[dict[str, Any]]:
    """Trains in a folder beside the stage and returns the metrics."""
    folder = stage.parent / name
    words = ["train", "--conf_files", str(stage), "--overrides", "TRAIN.DIR", str(folder)]
    done = lbk(*words, **keys)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one(lbk: Run, stage: Path) -> list[dict[str, Any]]:
    """The metrics of one process."""
    return train(lbk, stage, "one")


def same(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    for row, other in zip(rows, others, strict=True):
        assert other["kind"] == row["kind"]
        assert other["tokens"] == row["tokens"]
        assert other["loss"] == pytest.approx(row["loss"], abs=1e-5)


def test_steps_are_parted_and_logged_by_source(one: list[dict[str, Any]]) -> None:
    assert {row["kind"] for row in one} == {"image", "vl"}
    for row in one:
        source = {"image": "crayon", "vl": "vl"}[row["kind"]]
        assert row[f"loss/{source}"] == pytest.approx(row["loss"], rel=1e-5)


def test_two_processes_give_the_same_curve(
    lbk: Run, stage: Path, one: list[dict[str, Any]]
) -> None:
    same(one, train(lbk, stage, "two", accel="multi_cpu.yaml"))


@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
def test_zero2_gives_the_same_curve(lbk: Run, stage: Path, one: list[dict[str, Any]]) -> None:
    env = {"DS_ACCELERATOR": "cpu"}
    same(one, train(lbk, stage, "zero2", accel="deepspeed_zero2.yaml", env=env))


def test_adapters_are_pefts_own(stage: Path, one: list[dict[str, Any]]) -> None:
    for name in ("image", "vl"):
        folder = stage.parent / "one" / "export" / "adapters" / name
        assert json.loads((folder / "adapter_config.json").read_text())["r"] == 8
        tensors = load_file(folder / "adapter_model.safetensors")
        assert all(".base." not in key for key in tensors)
        assert any(bool(t.any()) for key, t in tensors.items() if "lora_B" in key)


def test_artefact_is_evaluated_and_merged(
    lbk: Run, stage: Path, one: list[dict[str, Any]], tmp_path: Path
) -> None:
    export = stage.parent / "one" / "export"
    merged = tmp_path / "merged"
    done = lbk("merge", "--from", str(export), "--to", str(merged), "--dtype", "fp32")
    assert done.returncode == 0, done.stderr
    answers = {}
    for name, weights in {"stage": export, "merged": merged}.items():
        run = tmp_path / name
        words = ["eval", "--limit", "12", "--overrides", "DATASETS.TEST", "pope_test"]
        words += ["MODEL.WEIGHTS", str(weights), "EVAL.RUN_DIR", str(run), "LLM.MERGE", "off"]
        words += ["SEGMENTER.NAME", "mask2former", "CRAYON.MODE", "none"]
        words += ["LLM.BITS", "4" if name == "stage" else "16"]
        done = lbk(*words)
        assert done.returncode == 0, done.stderr
        lines = (run / "predictions.jsonl").read_text().splitlines()
        answers[name] = [json.loads(line)["answer"] for line in lines]
    assert answers["stage"] == answers["merged"]
    assert len(answers["stage"]) == 12


def test_other_config_is_refused_and_resume_is_whole(
    lbk: Run, stage: Path, one: list[dict[str, Any]]
) -> None:
    words = ["train", "--conf_files", str(stage), "--overrides"]
    words += ["TRAIN.DIR", str(stage.parent / "one"), "LORA.RANK", "4"]
    refused = lbk(*words)
    assert refused.returncode == 2
    assert "LORA.RANK (8 there, 4 now)" in refused.stderr
    weights = stage.parent / "one" / "checkpoints" / "latest" / "weights.safetensors"
    assert not torch.isnan(next(iter(load_file(weights).values()))).any()
