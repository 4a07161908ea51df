"""The code in docs/plugins.md, as it stands there, is a plug-in that works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

PARTS = (
    *("MODEL.NAME", "vlm", "MODEL.VISION_ENCODER", "patches", "MODEL.PROJECTOR", "pooled"),
    *("MODEL.IMAGE_POLICY", "top_left", "MODEL.LLM", "internlm2", "MODEL.TEMPLATE", "collavo"),
)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documented code as one module, and the data that it reads."""
    folder = tmp_path_factory.mktemp("documented")
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    code = "\n\n".join(blocks).replace('"/data/my_set"', repr(str(folder / "data")))
    (folder / "documented.py").write_text(code, encoding="utf-8")
    (folder / "data" / "images").mkdir(parents=True)
    rows = []
    for number, shade in enumerate((250, 5)):
        Image.new("RGB", (30, 20), (shade,) * 3).save(folder / f"data/images/{number}.jpg")
        answer = "yes" if shade > 128 else "no"
        row = {"question": "Is it bright?", "image": f"{number}.jpg", "answer": answer}
        rows.append({**row, "question_id": number})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "questions.jsonl").write_text(lines, encoding="utf-8")
    return folder


def run(*words: str) -> str:
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def evaluated(plugin: Path, save: Path, *overrides: str) -> tuple[dict, list[dict]]:
    """Evaluates with the plug-in; returns results and predictions."""
    own = ("--user_dir", str(plugin / "documented.py"))
    run("lbk_entry.py", "eval", *own, "--overrides", "SAVE_DIR", str(save), *overrides)
    (results,) = save.glob("*/*/results.json")
    lines = (results.parent / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(results.read_text(encoding="utf-8")), [json.loads(x) for x in lines]


def test_dataset_and_model(plugin: Path, tmp_path: Path) -> None:
    results, rows = evaluated(
        plugin, tmp_path, "DATASETS.TEST", "my_set", "MODEL.NAME", "brightness"
    )
    assert [row["answer"] for row in rows] == ["yes", "no"]
    assert results["headline"]["mean_accuracy"] == 1


def test_pipeline_evaluator_and_segmenter(plugin: Path, tmp_path: Path) -> None:
    own = f"jsonl:{plugin}/data/questions.jsonl?pipeline=my_pipeline&evaluator=first_word"
    results, rows = evaluated(plugin, tmp_path, "DATASETS.TEST", own, "SEGMENTER.NAME", "halves")
    assert list(results["headline"]) == ["accuracy"]
    assert all("sky" in row["crayon_text"] for row in rows)
    assert all(row["parsed"] == row["answer"].split()[0].lower() for row in rows if row["answer"])


def test_encoder_projector_and_policy_are_chosen_by_configuration(
    plugin: Path, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert " ".join(PARTS) in " ".join(text.replace("\\\n", " ").split())
    own = ("--user_dir", str(plugin / "documented.py"), "--overrides", *PARTS)
    trained = ("TRAIN.DATA", "miniature:vl", "TRAIN.MODULES", "vision_encoder,projector")
    few = ("TRAIN.MAX_STEPS", "2", "TRAIN.BATCH_SIZE", "2", "TRAIN.DIR", str(tmp_path / "stage"))
    run("lbk_entry.py", "train", *own, *trained, *few)
    weights = ("MODEL.NAME", "vlm", "MODEL.WEIGHTS", str(tmp_path / "stage" / "export"))
    asked = ("DATASETS.TEST", "my_set", "GENERATION.NUM_BEAMS", "1")
    results, rows = evaluated(plugin, tmp_path / "runs", *weights, *asked)
    assert len(rows) == 2 and not results["flags"]["untrained"]


def test_the_example_of_a_model_trains(tmp_path: Path) -> None:
    own = ("--user_dir", "examples/own_model/letters.py")
    few = ("TRAIN.MAX_STEPS", "2", "TRAIN.DIR", str(tmp_path))
    stage = ("--conf_files", "examples/own_model/train.yaml")
    run("lbk_entry.py", "train", *own, *stage, "--overrides", *few)
    assert (tmp_path / "export" / "letters.safetensors").is_file()
