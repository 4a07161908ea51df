"""Works off the jobs of an ablation, each command in a process of its own, some at a time."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collavo.config.paths import PACKAGE
from collavo.engine.ablation.jobs import DONE, Given, Job, write_settings
from collavo.errors import EXIT_CRASH, EXIT_OK
from collavo.results.files import plain, write_text

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "collavo.engine.ablation.child")
"""Runs a command of the toolkit; takes this process's id and the command's words."""

LAST_WORDS = 6
"""Lines of a failed command that are shown."""

PATIENCE = 120.0
"""Seconds that commands have to save and stop in when the ablation is interrupted."""

_PAUSE = 0.1
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """A job that did not succeed.

    Args:
        arm: Its arm.
        seed: Its seed.
        step: What failed: "train" or "eval".
        code: The exit code; negative for a signal.
        words: The last words of the command.
        log: All of them; "" where nothing was started.
    """

    arm: str
    seed: int
    step: str
    code: int
    words: tuple[str, ...]
    log: str = ""


@dataclass
class _Running:
    job: Job
    step: str
    process: subprocess.Popen[bytes]
    began: float
    seconds: dict[str, float] = field(default_factory=dict)


def run_jobs(jobs: Sequence[Job], given: Given, at_once: int = 1) -> list[Failure]:
    """Trains and evaluates what is not finished; a job that fails does not stop the others.

    Args:
        jobs: What is to be done; finished ones are left alone.
        given: What the command line says, for the plug-ins.
        at_once: How many commands run at a time.

    Returns:
        The jobs that failed.

    Raises:
        KeyboardInterrupt: It was interrupted; the commands have been given time to save.
    """
    runner = _Runner([job for job in jobs if job.done is None], given, at_once)
    try:
        return runner.run()
    finally:
        runner.stop()


class _Runner:
    """The jobs that wait and those that run."""

    def __init__(self, jobs: list[Job], given: Given, at_once: int) -> None:
        self._waiting, self._given, self._at_once = jobs, given, at_once
        self._all, self._finished = len(jobs), 0
        self._running: list[_Running] = []
        self._failures: list[Failure] = []
        self._untrained: dict[Path, str] = {}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (cores or 1) // at_once))
        # the child's exit code is its own affair: this file is for whoever started the ablation
        left_out = ("COLLAVO_EXIT_CODE_FILE",)
        kept = {k: v for k, v in os.environ.items() if k not in left_out}
        # a bare checkout is found wherever the ablation was started from
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), kept.get("PYTHONPATH")]))
        self._env = kept | dict.fromkeys(_LIBRARIES, threads) | {"PYTHONPATH": path}

    def run(self) -> list[Failure]:
        while self._waiting or self._running:
            self._start_some()
            for one in list(self._running):
                if one.process.poll() is not None:
                    self._running.remove(one)
                    self._ended(one, one.process.returncode)
            time.sleep(_PAUSE if self._running else 0)
        return self._failures

    def stop(self) -> None:
        """Asks what still runs to save and stop, and ends what does not."""
        for one in self._running:
            one.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        try:
            for one in self._running:
                one.process.wait(max(0.1, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            logger.warning("commands that do not stop are ended")
        finally:
            for one in self._running:
                one.process.kill()
                one.process.wait()
            self._running.clear()

    def _start_some(self) -> None:
        for job in list(self._waiting):
            if len(self._running) >= self._at_once:
                return
            stages = {stage.folder for stage in job.open_stages()}
            if failed := [self._untrained[f] for f in stages if f in self._untrained]:
                self._waiting.remove(job)
                words = (f"its weights could not be trained, see {failed[0]}",)
                self._failures.append(Failure(job.arm, job.seed, "train", EXIT_CRASH, words))
                continue
            # two arms that begin with the same stage: one trains it, the other waits for it
            busy = {s.folder for one in self._running for s in one.job.open_stages()}
            if stages & busy:
                continue
            self._waiting.remove(job)
            self._start(job, "train" if stages else "eval", {})

    def _start(self, job: Job, step: str, seconds: dict[str, float]) -> None:
        words = self._train_words(job) if step == "train" else self._eval_words(job)
        if self._given.user_dir:
            words += ["--user_dir", self._given.user_dir]
        done = self._finished + len(self._failures)
        logger.info("%s: %s (%d of %d jobs done)", job.words, step, done, self._all)
        with (job.folder / f"{step}.log").open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, str(os.getpid()), *words],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process alone, which asks the others to stop, once
                start_new_session=True,
            )
        self._running.append(_Running(job, step, process, time.monotonic(), seconds))

    def _train_words(self, job: Job) -> list[str]:
        files = [
            str(write_settings(job.folder / f"{stage.folder.name}.yaml", stage.whole()))
            for stage in job.open_stages()
        ]
        return ["train", "--stages", *files]

    def _eval_words(self, job: Job) -> list[str]:
        return [
            "eval",
            "--conf_files",
            str(write_settings(job.folder / "eval.yaml", job.evaluation)),
        ]

    def _ended(self, one: _Running, code: int) -> None:
        job = one.job
        one.seconds[one.step] = round(time.monotonic() - one.began, 1)
        if code == EXIT_OK and one.step == "train" and not job.open_stages():
            self._start(job, "eval", one.seconds)
        elif code == EXIT_OK and one.step == "eval":
            self._finished += 1
            write_text(job.folder / DONE, json.dumps(plain(_record(job, one.seconds)), indent=1))
            logger.info("%s: done in %.0f s", job.words, sum(one.seconds.values()))
        else:
            log = job.folder / f"{one.step}.log"
            failure = Failure(job.arm, job.seed, one.step, code, _last_words(log), str(log))
            logger.warning(
                "%s: %s ended with %d, see %s: %s",
                *(job.words, one.step, code, log, " / ".join(failure.words)),
            )
            self._failures.append(failure)
            for stage in job.open_stages()[:1]:
                self._untrained[stage.folder] = job.words


def _record(job: Job, seconds: Mapping[str, float]) -> dict[str, Any]:
    weights = str(job.evaluation["MODEL.WEIGHTS"])
    return {
        "arm": job.arm,
        "seed": job.seed,
        "weights": weights,
        "evaluation": str(job.runs),
        "seconds": dict(seconds),
    }


def _last_words(log: Path) -> tuple[str, ...]:
    """What a command said last: its error, the end of a traceback, or some lines."""
    text = _COLOURS.sub("", log.read_text(encoding="utf-8", errors="replace")).replace("\r", "\n")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    told = [n for n, line in enumerate(lines) if line.startswith("error: ")]
    begin = max(told[-1] if told else 0, len(lines) - LAST_WORDS)
    last = lines[begin : begin + LAST_WORDS]
    if not told and any(line.startswith("Traceback (most recent") for line in lines):
        last = [line for line in last if not line.startswith(" ")] or last[-1:]
    return tuple(last) or ("it said nothing",)
