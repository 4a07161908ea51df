"""Runs of the engine on a model, a segmenter and a dataset that cost nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from collavo.cli.main import main
from tests.warm import start

PLUGIN = Path(__file__).parent / "plugin" / "fakes.py"
ROOT = Path(__file__).resolve().parents[2]


class Run:
    """What one run left behind, read at once: a later run may write to the same folder."""

    def __init__(self, code: int, folder: Path) -> None:
        self.code, self.folder = code, folder
        self.bytes = _read(folder / "predictions.jsonl")
        self.results = json.loads(_read(folder / "results.json") or b"{}")
        self.predictions = [json.loads(line) for line in self.bytes.decode().splitlines()]


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


class Bench:
    """A dataset in a folder of its own, and the means to evaluate on it.

    Args:
        folder: An empty folder.
        monkeypatch: Sets the environment that the plug-in reads.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.save = folder / "data", folder / "results"
        self.log = folder / "asked.log"
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("FAKE_DATA", str(self.data))
        monkeypatch.setenv("FAKE_LOG", str(self.log))
        self.make_data()

    def make_data(self, images: int = 6, questions: int = 5) -> None:
        """Writes the dataset; `questions` on each image, the ids in a mixed order."""
        self.data.mkdir(parents=True, exist_ok=True)
        rows = []
        for k in range(images):
            self.draw(f"{k}.png", (k * 37 % 256, k * 11 % 256, 90))
            for q in range(questions):
                question = f"Is there a thing {q} in image {k}?"
                answer = "yes" if (k + q) % 2 else "no"
                rows.append(
                    {"id": f"{k}-{q}", "image": f"{k}.png", "question": question, "answer": answer}
                )
        self.write_rows(rows[::2] + rows[1::2])

    def draw(self, name: str, color: tuple[int, int, int]) -> None:
        Image.new("RGB", (20, 12), color).save(self.data / name)

    def rows(self) -> list[dict]:
        lines = (self.data / "questions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def write_rows(self, rows: list[dict]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.data / "questions.jsonl").write_text(text)

    def words(self, *options: str, **keys: object) -> list[str]:
        """Words of the command line; `EVAL__REUSE="none"` sets EVAL.REUSE."""
        given = {
            "DATASETS.TEST": "fake_set",
            "MODEL.NAME": "fake",
            "SEGMENTER.NAME": "fake_segments",
            "SAVE_DIR": str(self.save),
            "VIS.SAMPLES": 0,
            **{k.replace("__", "."): v for k, v in keys.items()},
        }
        overrides = [f"{k}={v}" for k, v in given.items()]
        return ["eval", "--user_dir", str(PLUGIN), *options, "--overrides", *overrides]

    def run(self, *options: str, **keys: object) -> Run:
        """Evaluates in this process."""
        code = main(self.words(*options, **keys))
        return Run(code, self.folder())

    def folder(self) -> Path:
        """The run folder that was written last."""
        found = sorted(self.save.glob("*/*/config.yaml"), key=lambda p: p.stat().st_mtime_ns)
        return found[-1].parent if found else self.save

    def asked(self) -> list[str]:
        """Questions that the model was asked since the last call, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def start(self, *words: str, **env: str) -> start.Process:
        """Starts a run as a process of its own."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **env}
        return start.Process([ROOT / "lbk_entry.py", *words], environment, merged=True)

    def launch(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Starts two processes under accelerate's launcher, as users do."""
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
        command += [str(ROOT / "configs/accel/multi_cpu.yaml"), "--num_processes=2"]
        command += ["--main_process_port=0"]
        environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        return subprocess.Popen(
            [*command, str(ROOT / "lbk_entry.py"), *words],
            cwd=ROOT,
            env={**environment, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)
