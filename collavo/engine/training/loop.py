"""The one training loop: steps of accumulated micro-batches over any number of processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from collavo.engine.training.ahead import Ahead
from collavo.engine.training.optim import Schedule, set_rates
from collavo.engine.training.setup import Setup
from collavo.engine.training.task import LossParts, Place, Task
from collavo.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bounds of a training.

    Args:
        steps: All steps of the stage.
        grad_norm: The largest norm of the gradient; 0 for any.
        bad_steps: Steps whose loss or gradient is no number, before the training ends.
    """

    steps: int
    grad_norm: float
    bad_steps: int


@dataclass(frozen=True)
class Hooks:
    """What happens around the steps.

    Args:
        stepped: Called after each step with its number (from 1), figures and tokens.
        due: Says whether `save` is wanted after a step.
        save: Writes a checkpoint of so many finished steps.
        evaluate: Called after each step with its number.
        asked_to_stop: Whether this process was asked to end.
    """

    stepped: Callable[[int, Mapping[str, Any], int], None]
    due: Callable[[int], bool]
    save: Callable[[int], None]
    evaluate: Callable[[int], None]
    asked_to_stop: Callable[[], bool]


@dataclass
class Loop:
    """Trains a task from one step to another.

    Args:
        task: The model and its data.
        model: The model as accelerate has prepared it.
        optimizer: The optimiser as accelerate has prepared it.
        schedule: The learning rates.
        setup: The processes.
        limits: Bounds.
        hooks: What happens around the steps.
        choose: Makes an adapter the trained one ("" for all).
        bad: Steps skipped so far.
    """

    task: Task
    model: nn.Module
    optimizer: Any
    schedule: Schedule
    setup: Setup
    limits: Limits
    hooks: Hooks
    choose: Callable[[str], None]
    bad: int = 0
    _names: tuple[str, ...] = field(default=(), init=False)

    def run(self, first: int) -> bool:
        """Trains from step `first` (counted from 0) to the last.

        Returns:
            Whether the last step was reached; False where a process was asked to stop.

        Raises:
            UserError: Too many steps had a loss that is no number.
        """
        setup = self.setup
        places = [Place(setup.rank, setup.world, part, setup.parts) for part in range(setup.parts)]
        self.model.train()
        with Ahead(self.task.load, places, first, self.limits.steps) as batches:
            for step in range(first, self.limits.steps):
                stop = self._step(step, next(batches))
                done = step + 1
                last = done == self.limits.steps
                if last or stop or self.hooks.due(done):
                    self.hooks.save(done)
                if stop and not last:
                    return False
                self.hooks.evaluate(done)
        return True

    def _step(self, step: int, parts: list[Any]) -> bool:
        """Takes one step and returns whether any process was asked to stop."""
        task, setup = self.task, self.setup
        kind = task.kind(step)
        self.choose(kind)
        lr = set_rates(self.optimizer.param_groups, self.schedule.factor(step))
        totals = self._sum(torch.stack([task.counts(b) for b in parts]).sum(0))
        seen = float(sum(task.tokens(batch) for batch in parts))
        sums: Tensor | None = None
        for number, batch in enumerate(parts):
            with self._accumulating(number == len(parts) - 1):
                found = task.loss(self.model, batch, totals)
                flags = (float(self.hooks.asked_to_stop()), seen if number == 0 else 0.0)
                shares = self._sum(self._packed(found, flags))
                sums = shares if sums is None else sums + shares
                if not bool(torch.isfinite(shares[0])):
                    self._skip(step, parts, lr, number)
                    return bool(shares[1] > 0)
                if not found.total.requires_grad:
                    raise UserError(
                        f"step {step + 1} reaches nothing that is trained: the loss does not "
                        "depend on it. Such are crayon modules under CRAYON.MODE none, or images' "
                        "modules on text alone; change TRAIN.MODULES or the data"
                    )
                # DDP and DeepSpeed average over processes, and DeepSpeed over micro-batches
                scale = setup.world * (setup.parts if setup.kind == "DEEPSPEED" else 1)
                setup.accelerator.backward(found.total * scale)
        assert sums is not None, "a step has at least one micro-batch"
        norm = self._finish(step, parts, lr)
        if norm is not None:
            values = sums.tolist()
            figures = dict(zip(self._names, values[3:], strict=True))
            figures = {"loss": values[0], "lr": lr, "kind": kind, "grad_norm": norm, **figures}
            self.hooks.stepped(step + 1, figures, int(values[2]))
        return bool(sums[1] > 0)

    def _packed(self, found: LossParts, flags: tuple[float, ...]) -> Tensor:
        """Loss, flags and scalars in one tensor, so that one exchange serves them all."""
        self._names = tuple(sorted(found.scalars))
        device = found.total.device
        head = [found.total.detach().double().view(1), torch.tensor(flags, dtype=torch.float64)]
        rest = [found.scalars[name].detach().double().view(1) for name in self._names]
        return torch.cat([part.to(device) for part in (*head, *rest)])

    def _sum(self, values: Tensor) -> Tensor:
        """Sums a tensor over all processes."""
        if self.setup.world == 1:
            return values
        return self.setup.accelerator.reduce(values.to(self.setup.device), "sum")

    def _accumulating(self, last: bool) -> Any:
        """Gradients are exchanged with the last micro-batch of a step only."""
        accelerator = self.setup.accelerator
        accelerator.gradient_state._set_sync_gradients(last)
        if last or self.setup.kind == "DEEPSPEED":
            return nullcontext()
        return accelerator.no_sync(self.model)

    def _finish(self, step: int, parts: list[Any], lr: float) -> float | None:
        """Clips the gradient and steps the optimiser; returns the norm, None for a bad step."""
        accelerator = self.setup.accelerator
        if self.setup.kind == "DEEPSPEED":  # its engine has stepped within `backward`
            return float(accelerator.deepspeed_engine_wrapped.get_global_grad_norm() or 0.0)
        bound = self.limits.grad_norm or float("inf")
        norm = accelerator.clip_grad_norm_(self.model.parameters(), bound)
        value = float(norm)
        if value != value or value == float("inf"):
            self._skip(step, parts, lr, len(parts))
            return None
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return value

    def _skip(self, step: int, parts: list[Any], lr: float, behind: int) -> None:
        """Leaves a step out whose loss or gradient is no number."""
        self.bad += 1
        names = [name for batch in parts for name in self.task.sample_ids(batch)]
        where = f"step {step + 1} (samples of process {self.setup.rank}: {', '.join(names[:32])})"
        logger.warning("%s is skipped: its loss or gradient is no number", where)
        if self.bad > self.limits.bad_steps:
            raise UserError(
                f"{self.bad} steps had a loss or gradient that is no number, last {where}; "
                f"TRAIN.MAX_BAD_STEPS is {self.limits.bad_steps}. Look at these samples, or lower "
                "OPTIMIZER.LR"
            )
        if self.setup.kind == "DEEPSPEED" and behind:
            raise UserError(
                f"{where} had a loss that is no number after DeepSpeed had taken up gradients of "
                "the same step; set OPTIMIZER.GRAD_CUM 1 to be able to skip such steps"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.hooks.stepped(step + 1, {"loss": None, "lr": lr, "kind": "", "bad": self.bad}, 0)
