"""The real `train --stages` and the real `eval`, on a toy of a few numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from collavo.cli.main import main
from collavo.engine.ablation import runner

PLUGIN = Path(__file__).parent / "plugin"


def test_a_chain_of_stages_is_trained_and_evaluated(bench, tmp_path, monkeypatch, capsys):
    toy = str(PLUGIN / "toy_command.py")
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, toy))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    modules = [{"module": "body"}, {"module": "head", "lr": 0.02}]
    for stage in ("one", "two"):
        train = {"STAGE": stage, "MODULES": modules, "BATCH_SIZE": 8, "PLORA_DROPOUT": 0.0}
        (tmp_path / f"{stage}.yaml").write_text(yaml.safe_dump({"TRAIN": train}))
    plan = {
        "seeds": [4],
        "set": {"DEVICE": "cpu", "MODEL.NAME": "toy_model", "SEGMENTER.NAME": "fake_segments"},
        "train": {"TRAIN.MAX_STEPS": 3},
        "eval": {"VIS.SAMPLES": 0},
        "reference": "trained",
        "stages": [str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")],
        "figures": [{"name": "right", "dataset": "fake_set", "figure": "accuracy"}],
        "arms": [
            {"name": "trained"},
            {"name": "no_maps", "weights_of": "trained", "eval": {"CRAYON.MODE": "none"}},
        ],
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(plan))
    plugins = f"{Path(__file__).parents[1] / 'plugin' / 'fakes.py'},{PLUGIN / 'toy_model.py'}"
    words = ["ablate", "--plan", str(tmp_path / "toy.yaml"), "--user_dir", plugins]
    code = main([*words, "--overrides", f"SAVE_DIR={bench.save}"])
    said = capsys.readouterr()
    assert code == 0, said
    work = bench.save / "ablation" / "toy"
    for stage in ("one", "two"):
        folders = list((work / "stages").glob(f"{stage}-*"))
        assert len(folders) == 1
        assert (folders[0] / "export" / "model.safetensors").is_file()
        items = json.loads((folders[0] / "fingerprint.json").read_text())
        assert items["RANDOM_SEED"] == 4
    found = json.loads((work / "ablation.json").read_text())
    assert found["datasets"]["fake_set"]["samples"] == 30
    right = [found["arms"][arm]["figures"]["right"] for arm in ("trained", "no_maps")]
    answers = [
        (run / "predictions.jsonl").read_bytes()
        for arm in ("trained", "no_maps")
        for run in (work / "arms" / arm / "seed-4").glob("*/eval")
    ]
    assert len(answers) == 2
    assert answers[0] != answers[1]
    assert all(0 < x["interval"]["low"] < x["mean"] < x["interval"]["high"] < 1 for x in right)


@pytest.fixture(autouse=True)
def _data(bench) -> None:
    """The dataset of the engine's tests."""
