"""An architecture of the declared members alone goes through every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.cli.main import main
from collavo.config import get_cfg
from collavo.plugins import load_user_dir
from collavo.predictor import Predictor
from tests.warm import start

PLUGIN = start.ROOT / "examples" / "own_model" / "letters.py"
ENTRY = start.ROOT / "lbk_entry.py"
MODULES = "[{'module': 'letters'}, {'module': 'colour'}, {'module': 'gru'}, {'module': 'head'}]"


def words(**keys: Any) -> list[str]:
    given = {"MODEL.NAME": "letters", "DEVICE": "cpu", "GENERATION.MAX_NEW_TOKENS": 6}
    given |= {name.replace("__", "."): value for name, value in keys.items()}
    overrides = [str(word) for pair in given.items() for word in pair]
    return ["--user_dir", str(PLUGIN), "--overrides", *overrides]


@pytest.fixture
def data(tmp_path: Path, no_root: None) -> str:
    """Bright and dark pictures, half of the questions without one."""
    rows = []
    for k in range(8):
        Image.new("RGB", (40, 30), (240 * (k % 2),) * 3).save(tmp_path / f"{k}.png")
        shown = {"image": f"{k}.png"} if k < 6 else {}
        rows.append({"id": k, "question": f"Bright {k}?", "answer": "yes", **shown})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{tmp_path / 'rows.jsonl'}"


def training(folder: Path, **keys: Any) -> list[str]:
    chats = [
        {
            "id": f"{kind}{k}",
            "image": f"{kind}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\nBright {k}?"},
                {"from": "gpt", "value": kind},
            ],
        }
        for k in range(4)
        for kind in ("yes", "no")
    ]
    Image.new("RGB", (8, 8), (240,) * 3).save(folder / "yes.png")
    Image.new("RGB", (8, 8), (0,) * 3).save(folder / "no.png")
    (folder / "chats.json").write_text(json.dumps(chats))
    return words(
        TRAIN__DATA=f"[llava:{folder / 'chats.json'}?images={folder}]",
        TRAIN__MODULES=MODULES,
        TRAIN__BATCH_SIZE=8,
        TRAIN__MAX_STEPS=40,
        TRAIN__SAVE_STEPS=10,
        TRAIN__LOG_STEPS=10,
        OPTIMIZER__LR=0.03,
        OPTIMIZER__LAST_LR=0.01,
        **keys,
    )


def predictions(folder: Path) -> bytes:
    (found,) = folder.glob("*/*/predictions.jsonl")
    return found.read_bytes()


def test_it_trains_resumes_merges_and_answers(tmp_path: Path, data: str) -> None:
    whole = start.run([ENTRY, "train", *training(tmp_path, TRAIN__DIR=tmp_path / "whole")], {})
    assert whole.returncode == 0, whole.stderr[-2000:]
    part = training(tmp_path, TRAIN__DIR=tmp_path / "part")
    process = start.Process([ENTRY, "train", *part], {})
    while not (tmp_path / "part" / "checkpoints" / "step-00000010").exists():
        assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.wait()
    again = start.run([ENTRY, "train", *part], {})
    assert again.returncode == 0, again.stderr[-2000:]
    curves = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "speed")}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "part")
    ]
    assert [row["loss"] for row in curves[0]] == [row["loss"] for row in curves[1]]
    export = tmp_path / "part" / "export"
    merge = ["merge", "--from", str(export), "--to", str(tmp_path / "merged")]
    assert main([*merge, *words()]) == 0
    run = words(MODEL__WEIGHTS=tmp_path / "merged", DATASETS__TEST=data, SAVE_DIR=tmp_path / "one")
    assert main(["eval", *run]) == 0
    rows = [json.loads(line) for line in predictions(tmp_path / "one").splitlines()]
    assert [row["answer"] for row in rows[:6]] == ["no", "yes"] * 3, "it learned the colours"
    two = words(MODEL__WEIGHTS=tmp_path / "merged", DATASETS__TEST=data, SAVE_DIR=tmp_path / "two")
    done = start.run_ranks([ENTRY, "eval", *two], "multi_cpu.yaml", 2, {})
    assert done.returncode == 0, done.stderr[-2000:]
    assert predictions(tmp_path / "one") == predictions(tmp_path / "two")
    load_user_dir(str(PLUGIN))
    cfg = get_cfg(overrides=["MODEL.NAME", "letters", "MODEL.WEIGHTS", str(tmp_path / "merged")])
    found = Predictor(cfg)(Image.new("RGB", (30, 30), (240,) * 3), "Bright 1?")
    assert found.answer == "yes"


def test_what_it_lacks_is_said(tmp_path: Path, data: str, capsys: pytest.CaptureFixture) -> None:
    run = words(DATASETS__TEST=data, SAVE_DIR=tmp_path / "runs", EVAL__SCORING="likelihood")
    assert main(["eval", *run]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "LetterModel cannot score given answers; set EVAL.SCORING generate" in said
    fresh = training(tmp_path, TRAIN__DIR=tmp_path / "random", TRAIN__INIT="random")
    assert main(["train", *fresh]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "LetterModel draws no weights; set TRAIN.INIT weights" in said
