"""The contract of a loss: a weight for each labelled token, from what is known before the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Rows:
    """What a loss knows of the samples of a micro-batch.

    Args:
        tokens: (B,) int64, labelled tokens of each sample.
        lengths: (B,) int64, all tokens of each sample, without padding.
        tasks: (B,) int64, the task of each sample, from 0.
        num_tasks: How many tasks there are in the whole training.
    """

    tokens: Int[Tensor, " batch"]
    lengths: Int[Tensor, " batch"]
    tasks: Int[Tensor, " batch"]
    num_tasks: int

    def by_task(self, values: Tensor) -> Float[Tensor, " tasks"]:
        """Sums a value of each sample by task, in float64."""
        sums = values.new_zeros(self.num_tasks).double()
        return sums.index_add_(0, self.tasks, values.double())


class TokenLoss(Protocol):
    """A weighted sum of the cross entropies of all labelled tokens of a step.

    The weights hold for the whole step, whatever its division into processes and micro-batches:
    the sum over all of them is the loss.
    """

    def counts(self, rows: Rows) -> Float[Tensor, " counts"]:
        """Returns what the weights are normalised by, to be summed over all micro-batches."""
        ...

    def weights(self, rows: Rows, totals: Float[Tensor, " counts"]) -> Float[Tensor, " batch"]:
        """Returns the weight of each token of each sample.

        Args:
            rows: The samples of a micro-batch.
            totals: `counts`, summed over the step.
        """
        ...
