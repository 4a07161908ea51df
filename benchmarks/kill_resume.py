"""Kills evaluation runs at random moments, resumes them, and compares with an unbroken run.

    python benchmarks/kill_resume.py --rounds 100            # a model that costs nothing
    python benchmarks/kill_resume.py --rounds 10 --real      # the built-in tiny CoLLaVO on POPE

A round starts a run of one or two processes, sends a signal (SIGKILL to a worker, to the launcher
or to all; SIGTERM to the launcher; SIGINT to its process group, as Ctrl-C does) at a random moment,
sometimes does so again, and lets a last launch of one or two processes finish. It passes if the
scores and the sorted predictions.jsonl are byte-equal to an unbroken run's, no answer that was on
disk was computed again, and all processes were gone in time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "tests" / "engine" / "plugin" / "fakes.py"
GONE_WITHIN = 20.0  # seconds after a kill
LIMIT = 240.0  # seconds for any launch

KINDS = {
    "worker": "SIGKILL to one process",
    "launcher": "SIGKILL to the launcher",
    "all": "SIGKILL to all",
    "terminate": "SIGTERM to the launcher",
    "interrupt": "Ctrl-C (SIGINT to the group)",
}
"""Ways to end a launch; without a launcher its only process stands for it."""


@dataclass
class Tally:
    """What happened in all rounds.

    Args:
        kills: How often each kind met a launch of so many processes that still ran.
        over: Launches that had ended by themselves before their moment.
        kept: Answers that were on disk when the last launch of a round began.
        made: Answers that last launches computed.
        again: Answers that were computed although they were on disk.
    """

    kills: Counter[tuple[str, int]] = field(default_factory=Counter)
    over: int = 0
    kept: int = 0
    made: int = 0
    again: int = 0

    def table(self) -> str:
        """The kills as a Markdown table."""
        rows = ["| ended by | 1 process | 2 processes |", "|---|---|---|"]
        for kind, about in KINDS.items():
            rows.append(f"| {about} | {self.kills[kind, 1]} | {self.kills[kind, 2]} |")
        rows.append(
            f"\n{self.kills.total()} launches ended so; {self.over} had ended by themselves."
        )
        rows.append(
            f"Last launches took up {self.kept} answers and computed {self.made}; {self.again} "
            "answers that were on disk were computed again."
        )
        return "\n".join(rows)


@dataclass
class Setup:
    """What is run.

    Args:
        folder: Holds data and run folders.
        real: The built-in tiny model instead of the one that costs nothing.
        samples: How many samples the dataset has.
    """

    folder: Path
    real: bool
    samples: int = 60
    env: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def prepare(self) -> None:
        """Writes the dataset of the model that costs nothing."""
        if self.real:
            return
        data = self.folder / "data"
        data.mkdir()
        rows = []
        for k in range(self.samples // 5):
            Image.new("RGB", (20, 12), (k * 37 % 256, k * 11 % 256, 90)).save(data / f"{k}.png")
            rows += [
                {
                    "id": f"{k}-{q}",
                    "image": f"{k}.png",
                    "question": f"Is {q} in {k}?",
                    "answer": "no",
                }
                for q in range(5)
            ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / "questions.jsonl").write_text(text, encoding="utf-8")
        self.env = {"FAKE_DATA": str(data), "FAKE_SLEEP": "0.02"}

    def start(self, run: Path, processes: int) -> subprocess.Popen[str]:
        """Starts a launch in the run folder."""
        keys = ["DATASETS.TEST=pope_test", "VIS.SAMPLES=0"]
        words = ["eval"]
        if not self.real:
            words += ["--user_dir", str(PLUGIN)]
            keys = [
                "DATASETS.TEST=fake_set", "MODEL.NAME=fake", "SEGMENTER.NAME=fake_segments",
                "VIS.SAMPLES=0",
            ]  # fmt: skip
        keys += [f"EVAL.RUN_DIR={run}", "EVAL.BATCH_SIZE=4"]
        command = [sys.executable]
        env = {**os.environ, **self.env}
        env.pop("OMP_NUM_THREADS", None)
        if processes > 1:
            command += ["-m", "accelerate.commands.launch", "--config_file"]
            command += [str(ROOT / "configs/accel/multi_cpu.yaml"), "--main_process_port=0"]
            command += [f"--num_processes={processes}"]
        return subprocess.Popen(
            [*command, str(ROOT / "lbk_entry.py"), *words, "--overrides", *keys],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def stored(run: Path) -> Counter[str]:
    """Counts complete answers on disk by sample id."""
    counts: Counter[str] = Counter()
    for part in run.glob("parts/*.jsonl"):
        for line in part.read_bytes().split(b"\n")[:-1]:
            row = json.loads(line)
            counts[row["id"]] += row.get("answer") is not None
    return counts


def members(run: Path) -> list[int]:
    """Lists the processes at work in a run folder, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        # the second is the process in which a launch tries what an earlier one died of
        ours = f"EVAL.RUN_DIR={run}\0", f"collavo.engine.alone\0{run}\0"
        if any(word.encode() in words for word in ours) and state != "Z":
            found.append(int(folder.name))
    return found


def strike(process: subprocess.Popen[str], run: Path, how: str, rng: random.Random) -> None:
    """Sends the signal."""
    if how == "interrupt":
        os.killpg(process.pid, signal.SIGINT)
        return
    others = [pid for pid in members(run) if pid != process.pid]
    targets = {"all": [process.pid, *others], "worker": [rng.choice(others or [process.pid])]}
    signals = {"terminate": signal.SIGTERM}
    for pid in targets.get(how, [process.pid]):
        try:
            os.kill(pid, signals.get(how, signal.SIGKILL))
        except ProcessLookupError:
            continue


def break_off(
    setup: Setup, run: Path, processes: int, how: str, rng: random.Random, normal: float
) -> str:
    """Starts a launch and kills it at a random moment; returns what was wrong with its end."""
    before = sum(stored(run).values())
    process = setup.start(run, processes)
    begin = time.monotonic()
    if rng.random() < 0.25:
        moment = rng.uniform(0.0, normal)
        ready = lambda: time.monotonic() - begin > moment  # noqa: E731
    else:
        left = setup.samples - before
        wanted = before + rng.randrange(max(1, left))
        ready = lambda: sum(stored(run).values()) > wanted  # noqa: E731
    while process.poll() is None and not ready() and time.monotonic() - begin < LIMIT:
        time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 0.05))
    if process.poll() is None:
        strike(process, run, how, rng)
        setup.tally.kills[how, processes] += 1
    else:
        setup.tally.over += 1
    deadline = time.monotonic() + GONE_WITHIN
    while members(run) and time.monotonic() < deadline:
        process.poll()
        time.sleep(0.02)
    late = members(run)
    for pid in late:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    return f"{len(late)} processes were still there after {GONE_WITHIN} s" if late else ""


def finish(setup: Setup, run: Path, processes: int) -> tuple[int, str]:
    """Starts a launch and lets it end."""
    process = setup.start(run, processes)
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        for pid in members(run):
            os.kill(pid, signal.SIGKILL)
        return 124, process.communicate()[0]
    return process.returncode, output


def outcome(run: Path) -> tuple[bytes, object]:
    """What must be equal: the bytes of the predictions, and the scores."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    lines = sorted((run / "predictions.jsonl").read_bytes().splitlines(keepends=True))
    return b"".join(lines), [results["scores"], results["counts"]]


def play(setup: Setup, number: int, whole: tuple[bytes, object], normal: float, seed: int) -> str:
    """Plays one round; returns what went wrong, or an empty string."""
    rng = random.Random(f"{seed}/{number}")
    run = setup.folder / f"round{number}"
    story = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        how = rng.choice(list(KINDS))
        processes = rng.choice([1, 2])
        story.append(f"{how}/{processes}")
        fault = break_off(setup, run, processes, how, rng, normal)
        if fault:
            return f"{' '.join(story)}: {fault}"
    kept = stored(run)
    processes = rng.choice([1, 2])
    code, output = finish(setup, run, processes)
    told = f"{' '.join(story)}, {sum(kept.values())} kept, finished by {processes}"
    if code:
        return f"{told}: exit code {code}: {output[-800:]}"
    if outcome(run) != whole:
        return f"{told}: results differ from the unbroken run's"
    final = stored(run)
    again = [i for i, count in final.items() if count > 1]
    setup.tally.kept += sum(kept.values())
    setup.tally.made += sum(final.values()) - sum(kept.values())
    setup.tally.again += sum(count - 1 for count in final.values() if count > 1)
    if again:
        return f"{told}: computed again: {again[:3]}"
    print(f"round {number}: {told}: equal", flush=True)
    return ""


def main(words: Sequence[str] | None = None) -> int:
    """Plays the rounds and prints the report; 0 if all passed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="the built-in tiny CoLLaVO on POPE")
    args = parser.parse_args(words)
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(Path(folder), args.real)
        setup.prepare()
        begin = time.monotonic()
        code, output = finish(setup, Path(folder) / "whole", 1)
        normal = time.monotonic() - begin
        if code:
            print(output)
            return 1
        whole = outcome(Path(folder) / "whole")
        setup.samples = whole[0].count(b"\n")
        for number in range(1, args.rounds + 1):
            fault = play(setup, number, whole, normal, args.seed)
            if fault:
                faults.append(fault)
                print(f"round {number} FAILED: {fault}", flush=True)
    print(f"\n{setup.tally.table()}\n")
    print(f"{args.rounds - len(faults)}/{args.rounds} rounds resumed to the same bytes")
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
