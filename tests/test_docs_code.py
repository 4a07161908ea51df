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

PROJECTS = """
import sys, torch
from collavo.plugins import load_user_dir
from collavo.registry import PROJECTORS
load_user_dir(sys.argv[1])
projector = PROJECTORS.get("pooled")(6, 4)
tokens = projector([torch.ones(2, 8, 6)])
print(tuple(tokens.shape) == (2, projector.num_tokens((2, 4)), 4))
"""

SEES = """
import sys, torch
from PIL import Image
from collavo.modeling.image_policies.base import stacked
from collavo.plugins import load_user_dir
from collavo.registry import IMAGE_POLICIES, PROJECTORS, VISION_ENCODERS
load_user_dir(sys.argv[1])
encoder = VISION_ENCODERS.get("patches")(16, 6)
projector = PROJECTORS.get("pooled")(encoder.width, 4)
policy = IMAGE_POLICIES.get("top_left")(encoder.image_size, projector.num_tokens(encoder.grid))
photo = Image.new("RGB", (40, 10), (250, 5, 5))
visuals = [policy(photo), policy(photo.rotate(180))]
images = stacked(visuals, "pixel_values", "cpu")
print(images[0, 0, 9].unique().tolist() == [250], not images[0, :, 10:].any())
found = encoder(images)
embeds = projector(found.levels[-projector.num_levels :])
print(found.grid == (4, 4), tuple(embeds.shape) == (2, visuals[0].num_tokens, 4))
"""


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


def test_projector(plugin: Path) -> None:
    assert run("-c", PROJECTS, str(plugin / "documented.py")).split() == ["True"]


def test_vision_encoder_and_image_policy_in_front_of_the_projector(plugin: Path) -> None:
    assert run("-c", SEES, str(plugin / "documented.py")).split() == ["True"] * 4
