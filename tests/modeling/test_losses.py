"""The weights of tokens: whatever the division into micro-batches, their sum is the loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collavo.modeling.losses.base import Rows
from collavo.registry import LOSSES

TOKENS, LENGTHS, TASKS = (3, 0, 5, 2), (9, 4, 12, 7), (0, 1, 1, 0)


def rows(*places: int) -> Rows:
    def pick(values: tuple[int, ...]) -> Tensor:
        return torch.tensor([values[i] for i in places])

    return Rows(pick(TOKENS), pick(LENGTHS), pick(TASKS), 2)


def losses(*places: int) -> Tensor:
    """One number a token."""
    every = torch.arange(1.0, 11.0).split(list(TOKENS))
    return torch.cat([every[i] for i in places])


def total(name: str, *parts: tuple[int, ...]) -> float:
    loss = LOSSES.get(name)()
    totals = torch.stack([loss.counts(rows(*part)) for part in parts]).sum(0)
    found = 0.0
    for part in parts:
        weights = loss.weights(rows(*part), totals)
        found += float((weights.repeat_interleave(rows(*part).tokens) * losses(*part)).sum())
    return found


def test_token_mean() -> None:
    assert total("token_mean", (0, 1, 2, 3)) == pytest.approx(5.5)
    assert total("token_mean", (0,), (1, 3), (2,)) == pytest.approx(5.5)


def test_sample_mean() -> None:
    wanted = (2.0 + 6.0 + 9.5) / 3  # the sample without a token does not count
    assert total("sample_mean", (0, 1, 2, 3)) == pytest.approx(wanted)
    assert total("sample_mean", (0, 3), (1, 2)) == pytest.approx(wanted)


def test_multi_task() -> None:
    mean_0, mean_1 = (1 + 2 + 3 + 9 + 10) / 5, 6.0
    padded_0, padded_1 = 2 * 9, 2 * 12
    wanted = (mean_0 * padded_0 + mean_1 * padded_1) / (padded_0 + padded_1)
    assert total("multi_task", (0, 1, 2, 3)) == pytest.approx(wanted)
    assert total("mft", (0, 3), (1, 2)) == pytest.approx(wanted)


def test_nothing_learnt_is_no_error() -> None:
    for name in ("token_mean", "sample_mean", "multi_task"):
        assert total(name, (1,)) == 0.0
