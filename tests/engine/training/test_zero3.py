"""DeepSpeed ZeRO-3 where some processes have images in a step and others none."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

Run = Callable[..., subprocess.CompletedProcess[str]]

STAGE = """
CRAYON: {MODE: map_only}
OPTIMIZER: {LR: 1.0e-3, WARMUP: 0}
TRAIN:
  BATCH_SIZE: 6
  DATA:
    - {path: crayon, format: miniature, scenes: 20}
    - {path: told, format: miniature, scenes: 20}
  MAX_STEPS: 4
  MODULES: [{module: llm}, {module: projector}, {module: crayon}, {module: crayon_projector},
            {module: crayon_branch}]
  PLORA_DROPOUT: 0.0
  SAVE_STEPS: 2
  STAGE: parted
"""


@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
def test_zero3_gives_the_curve_of_one_process(tmp_path: Path, lbk: Run) -> None:
    file = tmp_path / "stage.yaml"
    file.write_text(STAGE)
    curves, weights = [], []
    for name, accel in (("one", ""), ("two", "deepspeed_zero3.yaml")):
        words = ["train", "--conf_files", str(file), "--overrides"]
        words += ["TRAIN.DIR", str(tmp_path / name), "EVAL.TIMEOUT", "120"]
        done = lbk(*words, accel=accel, env={"DS_ACCELERATOR": "cpu"})
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        curves.append([json.loads(line)["loss"] for line in lines])
        weights.append(load_file(tmp_path / name / "export" / "model.safetensors"))
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)
    for name, tensor in weights[0].items():
        assert (tensor.float() - weights[1][name].float()).abs().max() < 2e-3, name
