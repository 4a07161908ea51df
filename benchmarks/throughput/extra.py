"""Measurements beside the table: bfloat16, profile, memory over many questions, two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from benchmarks.throughput.data import build as build_data
from benchmarks.throughput.original_run import OriginalRunner
from benchmarks.throughput.ours_run import CONFIG, PLUGIN, OursRunner
from benchmarks.throughput.plugin import FOLDER
from collavo.config.paths import configs_dir

ROOT = Path(__file__).resolve().parents[2]


def bf16(folder: Path, work: Path, loads: Sequence[str], alone: int = 10) -> dict[str, Any]:
    """Counts answers that bfloat16 changes: against float32, and by sharing the prefix.

    Args:
        folder: The model's folder.
        work: Where run folders go.
        loads: Which loads.
        alone: Questions of each load that are also answered with nothing shared.
    """
    texts: dict[str, dict[str, str]] = {}
    for name, overrides in {
        "fp32": (),
        "bf16": ("LLM.DTYPE", "bf16"),
        "alone": ("LLM.DTYPE", "bf16", "EVAL.REUSE", "none"),
    }.items():
        ours = OursRunner(folder, work / "runs" / name, overrides)
        texts[name] = {}
        try:
            for load in loads:
                task = ours.task(load)
                if name == "alone":
                    task = ours.task(load, [s.sample_id for s in task.samples[:alone]])
                texts[name] |= ours.run(task).texts
        finally:
            ours.close()
    shared = texts["bf16"]
    return {
        "questions": len(shared),
        "bf16_answers_other_than_float32": sum(shared[k] != v for k, v in texts["fp32"].items()),
        "questions_also_answered_alone_in_bf16": len(texts["alone"]),
        "of_them_other_than_shared": sum(shared[k] != v for k, v in texts["alone"].items()),
    }


def evaluate(
    command: Sequence[str], run: Path, overrides: Sequence[str], environment: dict[str, str]
) -> dict[str, Any]:
    """Runs `lbk_entry.py eval` as a command of its own and returns its results.json."""
    done = subprocess.run(
        [
            *command,
            str(ROOT / "lbk_entry.py"),
            "eval",
            "--fresh",
            *("--conf_files", str(CONFIG), "--overrides", "EVAL.RUN_DIR", str(run), *overrides),
        ],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"eval ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads((run / "results.json").read_text(encoding="utf-8"))


def _bench(folder: Path) -> list[str]:
    return [
        *("USER_DIR", str(PLUGIN), "DATASETS.TEST", "throughput_pope"),
        *("MODEL.WEIGHTS", str(folder), "SEGMENTER.WEIGHTS", str(folder / "segmenter")),
        *("SEGMENTER.NAME", "throughput"),
    ]


def processes(folder: Path, work: Path) -> dict[str, Any]:
    """Compares two processes on two cores with one on one, at the same work."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    alone = ["taskset", "-c", "0"] if sys.platform == "linux" else []
    seconds: dict[str, float] = {}
    questions = 0
    for name, command in {
        "one": [*alone, *launch, str(configs_dir() / "accel" / "cpu.yaml")],
        "two": [*launch, str(configs_dir() / "accel" / "multi_cpu.yaml"), *_free_port()],
    }.items():
        run = work / "runs" / f"processes-{name}"
        found = evaluate(command, run, _bench(folder), {"OMP_NUM_THREADS": "1"})["timings"]
        seconds[name] = found["seconds"]
        questions = found["answered_now"]
    return {
        "questions": questions,
        "one_process_on_one_core_s": seconds["one"],
        "two_processes_on_two_cores_s": seconds["two"],
        "faster": round(seconds["one"] / seconds["two"], 3),
    }


def _free_port() -> list[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return ["--main_process_port", str(one.getsockname()[1])]


def profile(folder: Path, work: Path, top: int = 10) -> dict[str, list[str]]:
    """Says on which kernels each way spends its processor time, on the questions of one image."""
    ours, original = OursRunner(folder, work / "runs"), OriginalRunner(folder)
    samples = ours.task("pope").samples[:18]
    task = ours.task("pope", [s.sample_id for s in samples])
    ours.run(task)
    shares: dict[str, list[str]] = {}
    for name, run in {
        "original, 5 questions": lambda: original.run(samples[:5], task.pipeline, 3, 5),
        "ours, 18 questions": lambda: ours.run(task),
    }.items():
        with torch_profile(activities=[ProfilerActivity.CPU]) as profiled:
            run()
        events = sorted(profiled.key_averages(), key=lambda e: -e.self_cpu_time_total)
        total = sum(e.self_cpu_time_total for e in events)
        shares[name] = [
            f"{e.key.removeprefix('aten::')} {e.self_cpu_time_total / total:.0%}"
            for e in events[:top]
        ] + [f"of {total / 1e6:.2f} s"]
    ours.close()
    return shares


def memory(work: Path, many: int) -> dict[str, Any]:
    """Compares peak memory over `many` questions with that over a tenth, on the built-in model."""
    peaks: dict[int, float] = {}
    for questions in (many // 10, many):
        data = build_data(work / f"data-memory-{questions}", {"pope": questions})
        found = evaluate(
            [sys.executable],
            work / "runs" / f"memory-{questions}",
            ["USER_DIR", str(PLUGIN), "DATASETS.TEST", "throughput_pope"],
            {FOLDER: str(data)},
        )
        peaks[found["counts"]["answered"]] = max(m["peak_host"] for m in found["memory"])
    few, most = peaks.values()
    return {
        "model": "built-in tiny",
        **{f"peak_MB_of_{count}_questions": round(peak / 1e6, 1) for count, peak in peaks.items()},
        "growth": f"{most / few - 1:.1%}",
    }
