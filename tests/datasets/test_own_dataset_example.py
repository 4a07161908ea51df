"""The example of a dataset of one's own runs as its page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_example_is_listed_and_evaluated(repository: Path, tmp_path: Path) -> None:
    """Runs the script's commands with this Python in place of `bash run`, which would install."""
    example = repository / "examples" / "own_dataset"
    environment = {
        **os.environ,
        "SHAPES_ROOT": str(tmp_path / "data"),
        "OMP_NUM_THREADS": "1",
        "COLLAVO_PYTHON": sys.executable,
        "PYTHONPATH": str(repository),
    }

    def lbk(*words: str) -> str:
        command = [sys.executable, "lbk_entry.py", *words, "--user_dir", str(example / "plugin")]
        done = subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = json.loads(lbk("list", "datasets", "--json"))
    assert "shapes" in {row["name"] for row in listed}
    make = [sys.executable, str(example / "make_data.py"), str(tmp_path / "data")]
    subprocess.run(make, env=environment, check=True, timeout=300)
    lbk("eval", "--overrides", "DATASETS.TEST", "shapes", "SAVE_DIR", str(tmp_path / "results"))
    (result,) = (tmp_path / "results" / "shapes").glob("*/results.json")
    stored = json.loads(result.read_text())
    assert stored["counts"] == {"expected": 24, "answered": 24, "failed": 0}
    assert not stored["flags"]["miniature"]
    assert set(stored["scores"]) >= {"shape", "color", "mean_accuracy"}
    lines = result.with_name("predictions.jsonl").read_text().splitlines()
    assert len({json.loads(line)["sample_id"] for line in lines}) == 24


def test_the_registration_is_ten_lines(repository: Path) -> None:
    text = (repository / "examples" / "own_dataset" / "plugin" / "shapes.py").read_text()
    code = [line for line in text.splitlines() if line.strip() and '"""' not in line]
    imports = [line for line in code if line.startswith(("import", "from"))]
    assert len(code) - len(imports) <= 10


def test_the_script_runs_what_is_tested_here(repository: Path) -> None:
    script = (repository / "examples" / "own_dataset" / "run.sh").read_text()
    for part in (
        'bash run list datasets --user_dir "$plugin"',
        'make_data.py "$SHAPES_ROOT"',
        'bash run eval --user_dir "$plugin" --overrides DATASETS.TEST shapes',
    ):
        assert part in script
