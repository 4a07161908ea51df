"""Runs stages of training, one or a chain that hands each stage's artefact to the next."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from collavo.engine.folder import write_exit_code
from collavo.engine.training.checkpoint import Checkpoints, State, read_state
from collavo.engine.training.curves import draw_curves, read_metrics
from collavo.engine.training.evaluating import TABLE, LiveEvaluation
from collavo.engine.training.folder import course, open_stage, stage_folder
from collavo.engine.training.loop import Hooks, Limits, Loop
from collavo.engine.training.meter import Meter
from collavo.engine.training.optim import Schedule, parameter_groups
from collavo.engine.training.setup import Setup, start_training, whole_parameters
from collavo.engine.training.stage import read_rules
from collavo.engine.training.stopping import asked_to_stop
from collavo.engine.training.table import show_trainable
from collavo.engine.training.trackers import open_trackers
from collavo.engine.training.trainable import Trained, adapter_of, make_trainable
from collavo.errors import EXIT_CRASH, EXIT_INTERRUPTED, EXIT_OK, ConfigError
from collavo.modeling.checkpoints.running import running_statistics
from collavo.pulse import during

logger = logging.getLogger(__name__)

EXPORT = "export"
CURVES = "curves.png"

MakeStage = Callable[[str, str | None], Any]
"""Builds a stage's configuration, given where the stage before it left its artefact (or "") and the
benchmark that is evaluated (None for training)."""


def run_training(stages: Sequence[MakeStage]) -> int:
    """Runs stages one after the other and returns the exit code.

    A stage that is finished already is not run again: its artefact is handed on.

    Args:
        stages: Each builds the configuration of its stage.
    """
    artefact = ""
    for number, make in enumerate(stages):
        if number:
            _reset_accelerate()
        code, artefact = run_stage(partial(make, artefact))
        if code != EXIT_OK:
            return code
    return EXIT_OK


def run_stage(make_cfg: Callable[[str | None], Any]) -> tuple[int, str]:
    """Trains one stage, or goes on with it where it stopped.

    Args:
        make_cfg: Builds the stage's configuration for a benchmark, or None for training.

    Returns:
        The exit code, and the folder of its artefact.

    Raises:
        UserError: Anything that the user gave does not fit.
    """
    cfg = make_cfg(None)
    rules = read_rules(cfg.TRAIN.MODULES)
    setup = start_training(cfg, _dtype(cfg))
    _check_batch(cfg, setup)
    from collavo.engine.training.tasks import build_task

    with (
        setup.accelerator.main_process_first(),  # the others find its indices in the cache
        during(f"{cfg.TRAIN.STAGE}: loading the model and the training data"),
    ):
        task = build_task(cfg, setup.device, setup.is_main)
    lora = {
        "rank": cfg.LORA.RANK,
        "alpha": cfg.LORA.ALPHA,
        "dropout": cfg.LORA.DROPOUT,
        "targets": cfg.LORA.TARGETS,
    }
    optimizer = cfg.OPTIMIZER
    sided = cfg.TRAIN.IMAGE_STEPS >= 0
    trained = make_trainable(task.model, rules, optimizer.LR, optimizer.WEIGHT_DECAY, lora, sided)
    if setup.is_main:
        show_trainable(cfg.TRAIN.STAGE, task.model, trained)
    items = course(cfg, task.fingerprint())
    folder = stage_folder(cfg, items)
    lock = open_stage(folder, cfg, items) if setup.is_main else None
    try:
        if setup.is_main:
            write_exit_code(folder, EXIT_CRASH)  # what stands there if this launch is killed
        evaluation = None
        if cfg.TRAIN.EVAL_STEPS:
            evaluation = LiveEvaluation(make_cfg, task, setup, folder)
        finished = _train(_Stage(cfg, task, setup, trained, folder, items, evaluation))
        code = EXIT_OK if finished else EXIT_INTERRUPTED
        if setup.is_main:
            write_exit_code(folder, code)
        return code, str(folder / EXPORT)
    finally:
        if lock is not None:
            lock.release()


@dataclass(frozen=True)
class _Stage:
    """A stage that is ready to be trained."""

    cfg: Any
    task: Any
    setup: Setup
    trained: Sequence[Trained]
    folder: Path
    items: Mapping[str, Any]
    evaluation: LiveEvaluation | None

    @property
    def steps(self) -> int:
        """All steps of the stage."""
        wanted = int(self.cfg.TRAIN.MAX_STEPS)
        return wanted or self.task.steps_per_epoch * int(self.cfg.OPTIMIZER.EPOCH)


def _train(stage: _Stage) -> bool:
    """Trains and exports; returns whether the stage is finished."""
    cfg, task, setup = stage.cfg, stage.task, stage.setup
    model, optimizer, choose = _prepare(stage)
    running = running_statistics(task.model)
    checkpoints = Checkpoints(stage.folder, setup, cfg.TRAIN.KEEP_LAST, running)
    first, bad = _resume(stage, checkpoints, optimizer)
    if first >= stage.steps and (stage.folder / EXPORT).is_dir():
        if setup.is_main:
            logger.info("%s is finished: %s", cfg.TRAIN.STAGE, stage.folder / EXPORT)
        return True
    trackers = open_trackers(cfg, stage.folder) if setup.is_main else []
    meter = None
    if setup.is_main:
        meter = Meter(
            stage.folder, cfg.TRAIN.STAGE, first, stage.steps, cfg.TRAIN.LOG_STEPS, trackers
        )
    limits = Limits(stage.steps, float(cfg.OPTIMIZER.GRAD_MAX), cfg.TRAIN.MAX_BAD_STEPS)
    loop = Loop(task, model, optimizer, _schedule(stage), setup, limits, _no_hooks(), choose, bad)
    try:
        with asked_to_stop() as stopped:
            loop.hooks = _hooks(stage, checkpoints, optimizer, loop, meter, stopped)
            with during(""):  # the meter tells
                finished = loop.run(first)
    finally:
        if meter is not None:
            meter.close()
            _draw(meter.file, stage.folder, cfg.TRAIN.STAGE)
    if finished:
        with whole_parameters(setup, model):
            _export(stage)
    elif setup.is_main:
        logger.info("%s stops; the same command goes on from here", cfg.TRAIN.STAGE)
    return finished


def _draw(metrics: Path, folder: Path, title: str) -> None:
    """Draws the curves; a full disk must not hide why a training ended."""
    target = folder / CURVES
    try:
        draw_curves(read_metrics(metrics), target, title, read_metrics(folder / TABLE))
    except OSError as error:
        logger.warning("no picture %s: %s", target, error)


def _prepare(stage: _Stage) -> tuple[Any, Any, Callable[[str], None]]:
    """Hands model and optimiser to accelerate."""
    from collavo.engine.training.side_optimizer import SideAdamW

    cfg, task, accelerator = stage.cfg, stage.task, stage.setup.accelerator
    if cfg.TRAIN.GRAD_CKPT:
        task.model.gradient_checkpointing_enable()
    inner = SideAdamW(
        parameter_groups(stage.trained),
        betas=(0.9, float(cfg.OPTIMIZER.BETA2)),
    )
    switch = None
    if any(adapter_of(item.name) for item in stage.trained):
        from collavo.modeling.adapters.switch import switch_of

        switch = switch_of(task.model.llm)
    model, optimizer = accelerator.prepare(task.model, inner)

    def choose(side: str) -> None:
        inner.active_side = side
        if switch is not None and side:
            switch.train_only(side)
        elif switch is not None:
            switch.train_all()

    return model, optimizer, choose


def _schedule(stage: _Stage) -> Schedule:
    optimizer = stage.cfg.OPTIMIZER
    last = optimizer.LAST_LR / optimizer.LR if optimizer.LR else 0.0
    return Schedule(optimizer.SCHEDULE, stage.steps, optimizer.WARMUP, last)


def _resume(stage: _Stage, checkpoints: Checkpoints, optimizer: Any) -> tuple[int, int]:
    """Takes the latest checkpoint up; returns finished steps and how many of them were bad.

    Raises:
        ConfigError: It was saved by another number of processes, where that matters.
    """
    found = checkpoints.latest()
    if found is None:
        return 0, 0
    state = read_state(found)
    setup = stage.setup
    if (setup.is_sharded or state.kind in ("DEEPSPEED", "FSDP")) and (
        (state.kind, state.world) != (setup.kind, setup.world)
    ):
        raise ConfigError(
            f"{found} was saved by {state.world} processes under {state.kind}, each with a part of "
            f"the optimiser's state; {setup.world} under {setup.kind} cannot go on with it. Launch "
            "as before, or start anew with --fresh"
        )
    if setup.is_main:
        logger.info("%s goes on after step %d (%s)", stage.cfg.TRAIN.STAGE, state.step, found)
    checkpoints.load(found, stage.trained, optimizer)
    return state.step, state.bad_steps


def _hooks(
    stage: _Stage,
    checkpoints: Checkpoints,
    optimizer: Any,
    loop: Loop,
    meter: Meter | None,
    stopped: Callable[[], bool],
) -> Hooks:
    cfg, setup = stage.cfg, stage.setup

    def stepped(step: int, figures: Mapping[str, Any], tokens: int) -> None:
        if meter is not None:
            meter.step(step, figures, tokens)

    def save(step: int) -> None:
        state = State(step, dict(stage.items), setup.world, setup.kind, loop.bad)
        checkpoints.save(state, stage.trained, optimizer, stage.task.probe)

    def evaluate(step: int) -> None:
        due = cfg.TRAIN.EVAL_STEPS and (step % cfg.TRAIN.EVAL_STEPS == 0 or step == stage.steps)
        if stage.evaluation is not None and due:
            stage.evaluation.run(step)

    return Hooks(stepped, lambda step: step % cfg.TRAIN.SAVE_STEPS == 0, save, evaluate, stopped)


def _no_hooks() -> Hooks:
    return Hooks(lambda *_: None, lambda _: False, lambda _: None, lambda _: None, lambda: False)


def _export(stage: _Stage) -> None:
    """Writes the artefact; it appears whole or not at all."""
    setup = stage.setup
    target, new = stage.folder / EXPORT, stage.folder / f".{EXPORT}.new"
    if setup.is_main:
        shutil.rmtree(new, ignore_errors=True)
        stage.task.export(new)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(new, target)
        logger.info("%s is finished: %s", stage.cfg.TRAIN.STAGE, target)
    setup.accelerator.wait_for_everyone()


def _dtype(cfg: Any) -> str:
    """What the model computes in: "fp32", "bf16" or "fp16"."""
    import torch

    if cfg.LLM.DTYPE != "auto":
        return cfg.LLM.DTYPE
    return "bf16" if torch.cuda.is_available() and cfg.DEVICE != "cpu" else "fp32"


def _check_batch(cfg: Any, setup: Setup) -> None:
    shares = setup.world * setup.parts
    if cfg.TRAIN.BATCH_SIZE % shares:
        raise ConfigError(
            f"TRAIN.BATCH_SIZE is {cfg.TRAIN.BATCH_SIZE}, the samples of a step over all "
            f"processes; it must be a multiple of {shares} ({setup.world} processes x "
            f"OPTIMIZER.GRAD_CUM {setup.parts})"
        )


def _reset_accelerate() -> None:
    """Lets the next stage choose its own number format; the processes stay joined."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=False)
    GradientState._reset_state()
