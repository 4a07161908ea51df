"""A whole run: datasets one after the other, each in its own folder, resumed where it stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.engine import fingerprint as fp
from collavo.engine.accelerator import (
    Processes,
    Terminated,
    Watchdog,
    start_processes,
    stop_processes,
    terminate_cleanly,
)
from collavo.engine.alone import retry_suspects
from collavo.engine.board import EngineError
from collavo.engine.display import Display, main_warning
from collavo.engine.finish import SUBMISSION, finish, memory_used, timings
from collavo.engine.folder import (
    Opened,
    check_writable,
    open_folder,
    parent_folder,
    write_exit_code,
)
from collavo.engine.levels import Ladder, reuse_record
from collavo.engine.markers import Markers
from collavo.engine.store import CHECKS, PARTS, STARTED, Stored
from collavo.engine.tasks import MakeConfig, Task, fit_images, make_tasks
from collavo.errors import (
    EXIT_FAILED_SAMPLES,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    EXIT_VERIFY,
    UserError,
)
from collavo.modeling.weights import BUILTIN
from collavo.pulse import during
from collavo.results.report import Report, versions
from collavo.results.table import print_report, print_summary
from collavo.results.tracking import require_tracker, track
from collavo.terminal import say

if TYPE_CHECKING:
    from collavo.engine.models import Model

logger = logging.getLogger(__name__)


def run_eval(make_cfg: MakeConfig) -> int:
    """Evaluates on all datasets of DATASETS.TEST and returns the exit code.

    Args:
        make_cfg: Builds the configuration for a benchmark.
    """
    with during("reading the datasets"):
        tasks = make_tasks(make_cfg)
    cfg = tasks[0].cfg
    if cfg.WANDB:
        require_tracker()
    if not cfg.EVAL.DRY_RUN:
        for task in tasks:
            check_writable(parent_folder(task))
    if cfg.EVAL.DRY_RUN and not cfg.LLM.LOAD_LLM:
        from collavo.engine.dry_run import plan_only

        return plan_only(tasks)
    with during("starting torch and the processes"):
        processes = start_processes(cfg.DEVICE, cfg.RANDOM_SEED, cfg.EVAL.TIMEOUT)
    from collavo.engine.models import Models

    models = Models(processes.device)
    codes = []
    reports: list[Report] = []
    try:
        with terminate_cleanly():
            if processes.is_main and not cfg.EVAL.DRY_RUN:
                retry_suspects(tasks, processes.device)
            for task in tasks:
                with during("loading the model"):
                    model = models.get(task.cfg)
                task = fit_images(task, model.architecture.max_images)
                if cfg.EVAL.DRY_RUN:
                    from collavo.engine.dry_run import dry_run

                    with during(f"{task.name}: planning and probing"):
                        codes.append(dry_run(task, model, processes))
                else:
                    codes.append(run_task(task, model, processes, len(tasks), reports))
    finally:
        stop_processes(processes)
    if len(reports) > 1:
        print_summary(reports)
    return max(codes)


def run_task(
    task: Task,
    model: Model,
    processes: Processes,
    datasets: int = 1,
    reports: list[Report] | None = None,
) -> int:
    """Evaluates on one dataset and returns the exit code (0 in other than the main process).

    Args:
        task: What is asked.
        model: What answers.
        processes: Who takes part.
        datasets: How many datasets the run is over.
        reports: Takes the finished report, in the main process.
    """
    reports = [] if reports is None else reports
    if model.named(task.cfg)["weights"] == BUILTIN and not task.miniature:
        main_warning(
            "%s is answered by the built-in tiny model, which knows nothing but its own drawn "
            "scenes: its figures say nothing of any other model. Name weights by MODEL.WEIGHTS",
            task.name,
        )
    with during(f"{task.name}: looking up what is stored"):
        opened = open_folder(task, model, processes, datasets)
    watchdog = Watchdog(float(task.cfg.EVAL.TIMEOUT))
    try:
        start = time.monotonic()
        stored = opened.store.read()
        answered = _loop(task, model, processes, opened, stored, watchdog)
        if not processes.is_main:
            return EXIT_OK
        everyone = _wait_for_others(task, processes)
        watchdog.stop()
        sums = timings(time.monotonic() - start, everyone, answered(), len(stored))
        with during(f"{task.name}: scoring"):
            return _score(task, model, opened, sums, everyone, watchdog.beat, reports)
    except KeyboardInterrupt as stop:
        # under a launcher SIGTERM may mean that another process died: no verdict of this one
        if processes.is_main and not (processes.launched and isinstance(stop, Terminated)):
            write_exit_code(opened.store.folder, EXIT_INTERRUPTED)
        raise
    except UserError:
        write_exit_code(opened.store.folder, EXIT_USAGE)
        raise
    finally:
        watchdog.stop()
        opened.store.lock.release()


def run_suspects(task: Task, model: Model, processes: Processes) -> None:
    """Answers, alone, what earlier launches died over, and nothing else; for `alone`'s child."""
    opened = open_folder(task, model, processes, 1)
    watchdog = Watchdog(float(task.cfg.EVAL.TIMEOUT))
    try:
        _loop(task, model, processes, opened, opened.store.read(), watchdog, suspects_only=True)
    finally:
        watchdog.stop()
        opened.store.lock.release()


def _loop(
    task: Task,
    model: Model,
    processes: Processes,
    opened: Opened,
    stored: Mapping[str, Stored],
    watchdog: Watchdog,
    suspects_only: bool = False,
) -> Any:
    """Answers this process's share; returns what tells how many samples were stored by all."""
    from collavo.engine.assemble import assemble
    from collavo.engine.evaluate import DoneFilter, Progress, evaluate, storing

    done = DoneFilter(stored)
    rank = processes.rank
    part = opened.store.appender(PARTS, opened.launch, rank)
    markers = Markers(opened.store.appender(STARTED, opened.launch, rank, durable=False))
    checks = opened.store.appender(CHECKS, opened.launch, rank)
    progress = Progress(processes.board, str(task.number), watchdog.beat)
    if processes.is_main and len(done):
        logger.info("%s: %d answers are on disk already", task.name, len(done))
    watchdog.beat()
    try:
        with Display(task.name, len(task.samples) - len(done), processes.is_main) as display:
            watching = replace(progress, show=display.show)
            emit = storing(part, watching)
            work = assemble(task, model, opened.store.folder, done, emit, processes.world)
            work.answerer.ladder.keep(lambda row: checks.write([json.dumps(row)]))
            if processes.is_main and work.answerer.ladder.reason:
                logger.info("%s: %s", task.name, work.answerer.ladder.reason)
            try:
                units = [u for u in work.units if opened.suspects.is_alone(u) or not suspects_only]
                evaluate(
                    *(units, opened.suspects, work.loader, work.answerer),
                    *(markers, watching, work.overlap),
                )
            finally:
                if work.pictures is not None:
                    work.pictures.close()
        markers.release()
    except (KeyboardInterrupt, UserError, EngineError):
        markers.release()  # an end in order; after any other, what was begun stays suspicious
        raise
    finally:
        markers.close()
        checks.close()
        part.close()
    sums = {**work.stats.sums, **memory_used(model.device)}
    processes.board.put(f"{task.number}/end/{rank}", sums)
    return lambda: progress.stored


def _wait_for_others(task: Task, processes: Processes) -> list[dict[str, float]]:
    from collavo.engine.evaluate import Progress, wait_for_others

    progress = Progress(processes.board, str(task.number))
    return wait_for_others(progress, float(task.cfg.EVAL.TIMEOUT))


def _score(
    task: Task,
    model: Model,
    opened: Opened,
    sums: dict[str, Any],
    everyone: list[dict[str, float]],
    beat: Callable[[], None],
    reports: list[Report],
) -> int:
    """Scores in the main process, writes and prints the results, and returns the exit code."""
    folder = opened.store.folder
    stored = opened.store.read()
    verified: dict[str, Any] | None = None
    if task.cfg.EVAL.VERIFY:
        from collavo.engine.verify import verify

        verified = verify(task, model, stored, beat)
    about = {
        "verify": verified,
        "reuse": reuse_record(Ladder(model.architecture, task.cfg.EVAL.REUSE), folder),
        "timings": sums,
        "memory": [
            {k: v for k, v in process.items() if k.startswith("peak_")} for process in everyone
        ],
        "fingerprint": {
            "name": folder.name,
            "items": json.loads((folder / fp.FILE).read_text(encoding="utf-8")),
        },
        "model": model.named(task.cfg),
        "versions": versions(),
        "config": _tree(task.cfg),
    }
    report = finish(task, stored, model, folder, about)
    print_report(report)
    reports.append(report)
    code = exit_code(report, task.cfg, verified)
    write_exit_code(folder, code)
    if task.cfg.WANDB:
        track(report, folder)
    _say_where(folder, verified)
    return code


def exit_code(report: Report, cfg: Any, verified: Mapping[str, Any] | None) -> int:
    """Returns 0 only where every sample was answered (or allowed to fail) and scored."""
    if report.counts.failed > cfg.EVAL.ALLOW_FAILURES or report.evaluation is None:
        return EXIT_FAILED_SAMPLES
    if verified is not None and len(verified["flips"]) > cfg.EVAL.MAX_FLIPS:
        return EXIT_VERIFY
    return EXIT_OK


def _say_where(folder: Path, verified: Mapping[str, Any] | None) -> None:
    if verified is not None:
        say(f"verify: {verified['samples']} answered again, {len(verified['flips'])} differ")
        for flip in verified["flips"]:
            say(f"  {flip['sample_id']}: {flip['stored']!r}, alone {flip['alone']!r}")
    say(f"results:  {folder / 'results.json'}")
    if (folder / SUBMISSION).is_dir():
        say(f"to send:  {folder / SUBMISSION}")
    if (folder / "pictures").is_dir():
        say(f"pictures: {folder / 'pictures'}")


def _tree(node: Any) -> Any:
    """Turns a configuration into plain dictionaries."""
    if isinstance(node, Mapping):
        return {k: _tree(v) for k, v in node.items()}
    return list(node) if isinstance(node, (list, tuple)) else node
