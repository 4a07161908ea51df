"""Runs an ablation: trains and evaluates what is missing, then sets the arms side by side."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collavo.engine.ablation.jobs import Given, Job, evaluation_cfg, make_jobs
from collavo.engine.ablation.measures import measure
from collavo.engine.ablation.plan import Plan
from collavo.engine.ablation.reading import chosen_arms
from collavo.engine.ablation.report import AblationReport
from collavo.engine.ablation.runner import Failure, run_jobs
from collavo.engine.accelerator import launched, terminate_cleanly
from collavo.engine.folder import check_writable
from collavo.engine.store import RunLock
from collavo.errors import EXIT_FAILED_SAMPLES, EXIT_OK, ConfigError, UserError
from collavo.results.files import plain, write_text
from collavo.results.table import print_table
from collavo.terminal import console as stdout
from collavo.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a plan is worked off.

    Args:
        arms: Names between commas; "" for all.
        seeds: Which; empty for the plan's own.
        at_once: Commands that run at a time.
        fresh: Drop what is there of these arms and seeds.
        report_only: Run nothing; report what is finished.
        target: A Markdown file to write as well, with a JSON file beside it.
        command: The words that started this, for the report.
    """

    arms: str = ""
    seeds: tuple[int, ...] = ()
    at_once: int = 1
    fresh: bool = False
    report_only: bool = False
    target: Path | None = None
    command: str = ""


def run_ablation(plan: Plan, given: Given, options: Options) -> int:
    """Runs an ablation, or goes on with it, prints its tables and returns the exit code.

    Args:
        plan: The plan.
        given: What the command line says besides.
        options: How.

    Raises:
        UserError: Anything that the user gave does not fit; nothing has been started.
        KeyboardInterrupt: It was interrupted; what is finished is kept.
    """
    if launched():
        raise ConfigError(
            "ablate starts its own processes: run it without accelerate launch, "
            "as python lbk_entry.py ablate"
        )
    arms = chosen_arms(plan, options.arms)
    seeds = options.seeds or plan.seeds
    cfg = evaluation_cfg(plan, given)
    _check_datasets(plan)
    work = Path(cfg.SAVE_DIR).expanduser() / "ablation" / plan.name
    check_writable(work)
    if options.target is not None:
        check_writable(options.target.parent)
    jobs = make_jobs(plan, arms, seeds, given, work)
    failures: Sequence[Failure] = ()
    if not options.report_only:
        failures = _work_off(jobs, given, options, work)
    measures = measure(jobs, list(plan.figures.values()), cfg)
    report = AblationReport(plan, arms, seeds, measures, failures, options.command)
    _write(report, work, options.target)
    _print(report, stdout())
    for path in filter(None, (work / "ablation.md", options.target)):
        say(f"table:    {path}")
    return EXIT_FAILED_SAMPLES if failures else EXIT_OK


def _work_off(jobs: Sequence[Job], given: Given, options: Options, work: Path) -> list[Failure]:
    lock = RunLock(work / "lock", "SAVE_DIR")
    lock.acquire()
    try:
        if options.fresh:
            for folder in {f for job in jobs for f in (job.folder, *_stage_folders(job))}:
                shutil.rmtree(folder, ignore_errors=True)
        finished = sum(job.done is not None for job in jobs)
        logger.info("%d jobs, %d of them finished: %s", len(jobs), finished, work)
        with terminate_cleanly():
            return run_jobs(jobs, given, options.at_once)
    finally:
        lock.release()


def _stage_folders(job: Job) -> list[Path]:
    return [stage.folder for stage in job.stages]


def _check_datasets(plan: Plan) -> None:
    """Finds names that are no dataset before anything is trained.

    Raises:
        UnknownNameError: There is no such dataset.
    """
    from collavo.datasets.registration.catalog import metadata_of

    for name in plan.datasets:
        metadata_of(name)


def _write(report: AblationReport, work: Path, target: Path | None) -> None:
    places = [work / "ablation.md", *([target] if target is not None else [])]
    data = json.dumps(plain(report.as_dict()), indent=1, ensure_ascii=False) + "\n"
    try:
        for place in places:
            write_text(place, report.markdown())
            write_text(place.with_suffix(".json"), data)
    except OSError as error:
        raise UserError(f"cannot write {place}: {error}; choose another file by --to") from error


def _print(report: AblationReport, console: Console) -> None:
    for heading, tables in report.sections():
        for table in tables:
            print_table(console, f"{heading}: {table.title}", table.columns, table.rows)
    for note in report.notes():
        console.print(f"note: {note}")
