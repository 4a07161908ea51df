"""Parameter groups and the schedule of learning rates, a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collavo.engine.training.trainable import Trained


def parameter_groups(trained: Sequence[Trained]) -> list[dict[str, Any]]:
    """Groups parameters of one rate, weight decay and side for an optimiser of torch.

    Each group also holds `initial_lr`, `side` and the parameters' `names`.
    """
    groups: dict[tuple[float, float, str], list[Trained]] = {}
    for item in trained:
        groups.setdefault((item.lr, item.weight_decay, item.side), []).append(item)
    return [
        {
            "params": [item.parameter for item in items],
            "names": [item.name for item in items],
            "lr": lr,
            "initial_lr": lr,
            "weight_decay": weight_decay,
            "side": side,
        }
        for (lr, weight_decay, side), items in groups.items()
    ]


@dataclass(frozen=True)
class Schedule:
    """Learning rates over the steps of a stage.

    A linear warm-up, then the rate goes to `last` of its start by half a cosine, linearly, or not
    at all. Source: arXiv 2402.11248, section 4 (cosine from 1e-4 or 1e-5 to 1e-6).

    Args:
        kind: "cosine", "linear" or "constant".
        steps: All steps of the stage.
        warmup: Steps of warm-up; below 1 their share of `steps`.
        last: The rate at the end as a share of that at the start.
    """

    kind: str
    steps: int
    warmup: float = 0.0
    last: float = 0.0

    @property
    def warmup_steps(self) -> int:
        """Steps of warm-up."""
        return math.ceil(self.warmup * self.steps) if self.warmup < 1 else int(self.warmup)

    def factor(self, step: int) -> float:
        """Returns what a rate is multiplied by in step `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.kind == "constant":
            return 1.0
        rest = max(1, self.steps - self.warmup_steps)
        done = min(1.0, (step - self.warmup_steps) / rest)
        share = (1 + math.cos(math.pi * done)) / 2 if self.kind == "cosine" else 1 - done
        return self.last + (1 - self.last) * share


def set_rates(groups: Sequence[dict[str, Any]], factor: float) -> float:
    """Sets the rates of parameter groups and returns the highest."""
    for group in groups:
        group["lr"] = group["initial_lr"] * factor
    return max(group["lr"] for group in groups)
