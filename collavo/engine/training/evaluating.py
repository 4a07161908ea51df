"""Evaluates the model as it is in the middle of a training, through the ordinary engine."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.engine.accelerator import Processes, shared_board
from collavo.engine.board import LocalBoard
from collavo.engine.run import run_task
from collavo.engine.tasks import MakeConfig, make_tasks
from collavo.errors import EXIT_OK, ConfigError

if TYPE_CHECKING:
    from collavo.engine.training.setup import Setup

logger = logging.getLogger(__name__)

TABLE = "evaluations.jsonl"


class LiveEvaluation:
    """Evaluates on DATASETS.TEST at chosen steps.

    Args:
        make_cfg: Builds the configuration for a benchmark.
        task: What is trained; it has to offer `evaluated(step)`.
        setup: The processes.
        folder: The run folder; the evaluations go to `eval/step-<n>` below it.

    Raises:
        ConfigError: No process holds the whole model, or the task is no model that answers.
        UserError: Anything is wrong with the datasets.
    """

    def __init__(self, make_cfg: MakeConfig, task: Any, setup: Setup, folder: Path) -> None:
        if setup.is_sharded:
            raise ConfigError(
                f"TRAIN.EVAL_STEPS evaluates whole models, but {setup.kind} parts them among the "
                "processes: set TRAIN.EVAL_STEPS 0 and evaluate the export"
            )
        if not hasattr(task, "evaluated"):
            raise ConfigError(
                f"TRAIN.EVAL_STEPS: a {task.name} answers no questions; set TRAIN.EVAL_STEPS 0"
            )
        self._task, self._setup, self._folder = task, setup, folder
        self._evaluated = make_tasks(make_cfg)
        board = LocalBoard()
        timeout = float(self._evaluated[0].cfg.EVAL.TIMEOUT)
        shared = shared_board(setup.rank, setup.world, timeout) if setup.world > 1 else board
        self._processes = Processes(setup.rank, setup.world, setup.device, shared, False)

    def run(self, step: int) -> None:
        """Evaluates after so many steps, and leaves the headline figures in `TABLE`."""
        model = self._task.evaluated(step)
        parent = self._folder / "eval" / f"step-{step:08d}"
        for task in self._evaluated:
            cfg = task.cfg.clone()
            cfg.defrost()
            cfg.EVAL.RUN_DIR = str(parent / task.folder_name)
            cfg.freeze()
            number = step * len(self._evaluated) + task.number  # names it on the shared board
            code = run_task(replace(task, cfg=cfg, number=number), model, self._processes)
            if not self._setup.is_main:
                continue
            if code != EXIT_OK:
                logger.warning("%s after step %d ended with %d", task.name, step, code)
            self._note(step, task.name, Path(cfg.EVAL.RUN_DIR))
        self._setup.accelerator.wait_for_everyone()
        self._task.model.train()

    def _note(self, step: int, dataset: str, folder: Path) -> None:
        file = folder / "results.json"
        if file.is_file():
            headline = json.loads(file.read_text(encoding="utf-8"))["headline"]
            with (self._folder / TABLE).open("a", encoding="utf-8") as out:
                out.write(json.dumps({"step": step, "dataset": dataset, "headline": headline}))
                out.write("\n")
