"""What the training loop needs to know of what it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Place:
    """Which share of a global step a micro-batch is; the shares of all make the step.

    Args:
        rank: This process.
        world: Processes.
        part: The micro-batch of this process.
        parts: Micro-batches that a step accumulates.
    """

    rank: int = 0
    world: int = 1
    part: int = 0
    parts: int = 1

    @property
    def share(self) -> slice:
        """What of a global batch belongs here: every n-th sample."""
        return slice(self.part * self.world + self.rank, None, self.parts * self.world)


@dataclass(frozen=True)
class LossParts:
    """The loss of a micro-batch.

    Args:
        total: Its share of the step's loss: the sum over all micro-batches and processes is it.
        scalars: Shares of further figures for the log, summed in the same way; the same names in
            every process.
    """

    total: Tensor
    scalars: Mapping[str, Tensor] = field(default_factory=dict)


class Task(Protocol):
    """A model with its data: all that differs between what the loop can train."""

    name: str
    model: nn.Module
    steps_per_epoch: int

    def kind(self, step: int) -> str:
        """Returns the adapter that a step trains, "" where steps are not parted."""
        ...

    def load(self, step: int, place: Place) -> Any:
        """Returns a micro-batch: a pure function of its arguments. Runs in a thread, ahead."""
        ...

    def counts(self, batch: Any) -> Tensor:
        """Returns what the loss is normalised by, float64 (K,), to be summed over all shares."""
        ...

    def tokens(self, batch: Any) -> int:
        """Returns how many tokens (or pixels) the model sees in it, for the speed in the log."""
        ...

    def sample_ids(self, batch: Any) -> list[str]:
        """Names the samples of a micro-batch, for messages."""
        ...

    def loss(self, model: nn.Module, batch: Any, totals: Tensor) -> LossParts:
        """Runs the model, as accelerate has wrapped it, on a micro-batch.

        Args:
            model: The wrapped model.
            batch: What `load` gave.
            totals: `counts`, summed over the step.
        """
        ...

    def export(self, folder: Path) -> None:
        """Writes the stage's artefact, which the next stage or an evaluation can load."""
        ...

    def probe(self) -> Tensor:
        """Returns outputs of the unwrapped model on a fixed input, to compare before and after."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """Lists what decides on the course of the training, beside the configuration."""
        ...
