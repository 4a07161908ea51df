"""The training benchmark: it compares like with like, counts what is alive, and plans 7B."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.train_step import compare, line, loss_difference
from benchmarks.training.memory import LiveBytes
from benchmarks.training.models import DualStep, PlainStep, Shape, inputs_of
from benchmarks.training.plan import PUBLISHED_7B, step_plan
from collavo.modeling.architectures.memory import weight_bytes

SHAPE = Shape(width=128, layers=2, text=40, grid=12, vocab=64, bits=16)


def test_live_bytes_follow_storages() -> None:
    held = torch.zeros(1000)
    with LiveBytes([held]) as live:
        assert live.now == 4000
        one = held + 1
        view = one[:10]
        assert live.now == 8000
        del one
        assert live.now == 8000  # the view holds it
        del view
        assert live.now == 4000
        held.add_(1)
        assert (live.now, live.peak) == (4000, 8000)


@pytest.mark.parametrize("bits", [16, 4])
def test_where_both_compute_the_same_losses_agree(bits: int) -> None:
    assert loss_difference(replace(SHAPE, bits=bits), checkpointing=True) < 1e-5


def test_ranks_are_those_of_7b_in_proportion() -> None:
    shape = Shape(width=4096)
    assert (shape.plora_rank, shape.lora_rank, shape.length) == (256, 64, 1400)


def test_a_comparison_measures_both_in_turns() -> None:
    row = compare(SHAPE, checkpointing=False, rounds=2)
    assert row["tokens"] == 184
    assert min(row["plain_s"], row["dual_s"], row["plain_peak"], row["dual_peak"]) > 0
    assert row["memory_ratio"] == row["dual_peak"] / row["plain_peak"]
    assert "NF4 no  checkpointing no  | H 128 x 2 layers, 184 tokens" in line(row)


@pytest.mark.parametrize("dropout", [0.0, 0.05])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_peak_of_a_dual_step_keeps_its_limit(dropout: float, checkpointing: bool) -> None:
    """Bytes are counted, so this holds on any machine and under any load."""
    shape = Shape(
        width=256, layers=2, text=100, vocab=512, bits=16,
        lora_dropout=dropout, plora_dropout=dropout,
    )  # fmt: skip
    peaks = []
    for kind in (PlainStep, DualStep):
        step = kind(shape, checkpointing)
        for number in range(2):
            step.run(inputs_of(shape, number), number)
        peaks.append(step.peak(inputs_of(shape, 2)))
    assert peaks[1] <= 1.05 * peaks[0]


def test_a_7b_step_is_planned_to_fit_24_gb() -> None:
    plan = step_plan()
    assert plan.total < 24e9
    items = plan.items
    crayon = 1024 * 4096 + 4096 + 4096**2 + 4096 + (134 + 21) * 1024
    each = 64 * 32 * (2 * 4096 + 2 * (4096 + 1024) + 2 * 4096 + 3 * (4096 + 14336))
    assert plan.trained == 2 * each + crayon
    frozen = weight_bytes(PUBLISHED_7B, 4, "bf16") - 2 * crayon
    assert frozen <= items["frozen weights"] < frozen + 1e6  # RoPE's tables, position ids
    assert items["adapters"] == 4 * 2 * each
    assert items["gradients"] == 4 * (each + crayon)
    assert 8 * plan.trained <= items["moments"] < 8 * plan.trained + 1e5
    layers_inputs = 32 * 1400 * 4096 * 2
    assert layers_inputs < items["activations and working memory"] < 2e9


def test_without_checkpointing_a_plan_takes_more() -> None:
    small = {**PUBLISHED_7B, "num_hidden_layers": 4}
    assert step_plan(small, checkpointing=False).total > step_plan(small).total
