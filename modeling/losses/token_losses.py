"""Mean over tokens, mean over samples, and CodeFuse's weighted mean over tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.modeling.losses.base import Rows
from collavo.registry import LOSSES

if TYPE_CHECKING:
    from jaxtyping import Float


@LOSSES.register("token_mean")
class TokenMean:
    """The mean cross entropy of all labelled tokens of a step."""

    def counts(self, rows: Rows) -> Float[Tensor, " counts"]:
        return rows.tokens.sum().double().view(1)

    def weights(self, rows: Rows, totals: Float[Tensor, " counts"]) -> Float[Tensor, " batch"]:
        return torch.ones_like(rows.tokens, dtype=torch.float64) / totals[0].clamp(min=1)


@LOSSES.register("sample_mean")
class SampleMean:
    """The mean over samples of each one's mean cross entropy: short answers count as long ones.

    Source: codefuse-ai/CodeFuse-MFT-VLM, commit 46e9a3c, its "case4".
    """

    def counts(self, rows: Rows) -> Float[Tensor, " counts"]:
        return (rows.tokens > 0).sum().double().view(1)

    def weights(self, rows: Rows, totals: Float[Tensor, " counts"]) -> Float[Tensor, " batch"]:
        return 1 / (totals[0].clamp(min=1) * rows.tokens.clamp(min=1).double())


@LOSSES.register("multi_task", "mft")
class MultiTask:
    """The token means of the tasks, each weighted by its share of the step's padded tokens.

    w_t = B_t S_t / sum of B S, with B_t samples and S_t the length that they are padded to.
    Here S_t is the longest sample of the task in each micro-batch.

    Source: codefuse-ai/CodeFuse-MFT-VLM, commit 46e9a3c, its multi-task fine-tuning loss ("case3").
    """

    def counts(self, rows: Rows) -> Float[Tensor, " counts"]:
        return torch.cat([rows.by_task(rows.tokens), self._padded(rows)])

    def weights(self, rows: Rows, totals: Float[Tensor, " counts"]) -> Float[Tensor, " batch"]:
        tokens, padded = totals[: rows.num_tasks], totals[rows.num_tasks :]
        return ((padded / padded.sum().clamp(min=1)) / tokens.clamp(min=1))[rows.tasks]

    @staticmethod
    def _padded(rows: Rows) -> Float[Tensor, " tasks"]:
        """B_t S_t of a micro-batch."""
        samples = rows.by_task(torch.ones_like(rows.tokens))
        longest = torch.zeros(rows.num_tasks, dtype=rows.lengths.dtype, device=rows.lengths.device)
        longest.scatter_reduce_(0, rows.tasks, rows.lengths, "amax")
        return samples * longest
