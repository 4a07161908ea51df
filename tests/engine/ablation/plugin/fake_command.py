"""Stands for `train` and `eval`: leaves what they would leave, without a model.

Words: a process id, then those of the command. What goes wrong stands in the environment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import yaml


def log(**what: object) -> None:
    line = json.dumps({"threads": os.environ["OMP_NUM_THREADS"], "time": time.time(), **what})
    with open(os.environ["FAKE_CALLS"], "a") as file:
        file.write(line + "\n")


def meet(others: int) -> None:
    """Waits until so many trainings have begun, this one among them."""
    end = time.monotonic() + 300
    while Path(os.environ["FAKE_CALLS"]).read_text().count('"command": "train"') < others:
        assert time.monotonic() < end, "the others do not begin while this one runs"
        time.sleep(0.02)


def train(words: list[str]) -> int:
    files = words[words.index("--stages") + 1 : words.index("--user_dir")]
    stages = [yaml.safe_load(Path(file).read_text()) for file in files]
    start = None
    for settings in stages:
        sleep = float(os.environ.get("FAKE_SLEEP", "0"))
        if sleep:  # before the log line, which the test waits for
            signal.signal(signal.SIGINT, lambda *_: (log(command="stopped"), sys.exit(130)))
        log(command="train", stage=settings["TRAIN.STAGE"], settings=settings)
        time.sleep(sleep)
        if others := int(os.environ.get("FAKE_TOGETHER", "0")):
            meet(others)
        if settings.get("TRAIN.LOSS") == os.environ.get("FAKE_BAD_LOSS", "?"):
            print("loading\nwarming up\nerror: the loss is not to be had\nuse another", flush=True)
            return 2
        source = settings.get("MODEL.WEIGHTS", "")
        before = json.loads((Path(source) / "weights.json").read_text()) if source else []
        assert start is None or source == start, "each stage begins where the last one ended"
        export = Path(settings["TRAIN.DIR"]) / "export"
        export.mkdir(parents=True)
        weights = [*before, {k: v for k, v in settings.items() if k != "TRAIN.DIR"}]
        (export / "weights.json").write_text(json.dumps(weights))
        start = str(export)
    return 0


def answer(settings: dict, weights: list, dataset: str) -> tuple[list[dict], dict]:
    """Answers right with a chance that hangs on the crayon in training and in evaluation."""
    sys.path.insert(0, str(Path(__file__).parent))
    import toy_set

    trained = weights[-1] if weights else {}
    right = 0.55
    right += 0.3 * (trained.get("CRAYON.MODE", "full") == "full")
    right -= 0.2 * (settings.get("CRAYON.MODE", "full") == "map_only")
    chance = random.Random(f"{trained.get('RANDOM_SEED')} {right}")
    rows = []
    for sample in toy_set.samples(dataset):
        other = "no" if sample.answers[0] == "yes" else "yes"
        said = sample.answers[0] if chance.random() < right else other
        rows.append(
            {
                "sample_id": sample.sample_id,
                "question": sample.question,
                "image": sample.images[0].label,
                "category": sample.category,
                "answer": said,
                "parsed": said,
                "reference": sample.answers[0],
                "correct": said == sample.answers[0],
            }
        )
    return rows[: int(settings.get("EVAL.LIMIT", 0)) or None], {"dataset": dataset, "flags": {}}


def evaluate(words: list[str]) -> int:
    settings = yaml.safe_load(Path(words[words.index("--conf_files") + 1]).read_text())
    log(command="eval", settings=settings)
    file = Path(settings["MODEL.WEIGHTS"]) / "weights.json"
    weights = json.loads(file.read_text()) if file.is_file() else []
    datasets = settings["DATASETS.TEST"].split(",")
    for dataset in datasets:
        folder = Path(settings["EVAL.RUN_DIR"])
        folder = folder / dataset if len(datasets) > 1 else folder
        folder.mkdir(parents=True)
        rows, results = answer(settings, weights, dataset)
        (folder / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        (folder / "results.json").write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    command, rest = sys.argv[2], sys.argv[3:]
    raise SystemExit({"train": train, "eval": evaluate}[command](rest))
