"""Idle sides stay as they are, bit by bit: alone, under DDP and under DeepSpeed ZeRO-2."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from collavo.engine.training.side_optimizer import SideAdamW
from tests.warm import start

WORKER = Path(__file__).with_name("sides_worker.py")
KINDS = ("image", "vl", "vl", "image", "image", "vl", "vl", "image")


def optimizer() -> tuple[SideAdamW, dict[str, nn.Parameter]]:
    torch.manual_seed(0)
    sides = {side: nn.Parameter(torch.randn(3, 2)) for side in ("", "image", "vl")}
    groups = [{"params": [p], "side": side} for side, p in sides.items()]
    return SideAdamW(groups, lr=0.1, weight_decay=0.5), sides


def test_only_the_active_side_and_those_without_one_are_stepped() -> None:
    made, sides = optimizer()
    for active in ("image", "vl", ""):
        before = {side: p.detach().clone() for side, p in sides.items()}
        states = {side: dict(made.state.get(p, {})) for side, p in sides.items()}
        moments = {side: s["exp_avg"].clone() for side, s in states.items() if s}
        for p in sides.values():
            p.grad = torch.ones_like(p)  # zeros or more, as ZeRO would give the idle ones
        made.active_side = active
        made.step()
        for side, p in sides.items():
            stepped = side in ("", active)
            assert torch.equal(p, before[side]) != stepped
            if not stepped and side in moments:
                assert torch.equal(made.state[p]["exp_avg"], moments[side])
    assert [int(made.state[p]["step"]) for p in sides.values()] == [3, 1, 1]


def test_where_every_group_takes_part_it_is_adamw() -> None:
    torch.manual_seed(0)
    ours, plain = (nn.Parameter(torch.ones(4)) for _ in range(2))
    side = SideAdamW([{"params": [ours], "side": "vl"}], lr=0.1, weight_decay=0.1)
    side.active_side = "vl"
    adamw = torch.optim.AdamW([plain], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        grad = torch.randn(4)
        ours.grad, plain.grad = grad, grad.clone()
        assert side.step(lambda: 1.5) == 1.5
        adamw.step()
    assert torch.equal(ours, plain)


def test_the_groups_and_their_sides_survive_saving() -> None:
    made, sides = optimizer()
    made.active_side = "vl"
    sides["vl"].grad = torch.ones_like(sides["vl"])
    made.step()
    other, parameters = optimizer()
    other.load_state_dict(made.state_dict())
    assert other.sides == made.sides == ("image", "vl")
    assert torch.equal(other.state[parameters["vl"]]["exp_avg"], made.state[sides["vl"]]["exp_avg"])
    assert len(other.param_groups) == 3


def test_an_unknown_side_is_named() -> None:
    made, _ = optimizer()
    with pytest.raises(ValueError, match="no group has the side 'crayon'; there are image, vl"):
        made.active_side = "crayon"


def run(out: Path, mode: str, world: int, *extra: str) -> list[dict[str, Any]]:
    """Runs the worker in `world` processes and returns their reports."""
    environment = {**os.environ, "DS_ACCELERATOR": "cpu"}
    argv = [WORKER, out, mode, *extra]
    if world == 1:
        done = start.run(argv, environment)
    else:
        done = start.run_ranks(argv, "multi_cpu.yaml", world, environment)
    assert done.returncode == 0, done.stderr
    return [
        json.loads((out / f"{mode}-{rank}-of-{world}.json").read_text(encoding="utf-8"))
        for rank in range(world)
    ]


def check(report: dict[str, Any]) -> None:
    """In each step the active adapter and the rest moved, in weights and optimiser, no other."""
    for step, kind in enumerate(KINDS):
        before, after = report["steps"][step], report["steps"][step + 1]
        for side in ("", "image", "vl"):
            moved = [a != b for a, b in zip(before[side], after[side], strict=True)]
            assert moved == [side in ("", kind)] * 2, (step, kind, side)
    assert report["idle_gradients"] == [0] * len(KINDS)
    assert min(report["norms"]) > 0.05  # each step was clipped


def same(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    """Both ended with the same weights; the norms that were clipped were the same, too."""
    for name, values in one["final"].items():
        torch.testing.assert_close(
            torch.tensor(other["final"][name]), torch.tensor(values), rtol=0, atol=tolerance
        )
    assert other["norms"] == pytest.approx(one["norms"], rel=1e-4)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("single"), "single", 1)[0]


def test_one_process(single: dict[str, Any]) -> None:
    check(single)


def test_two_processes_of_ddp_with_checkpointing(single: dict[str, Any], tmp_path: Path) -> None:
    for report in run(tmp_path, "ddp", 2, "checkpoint"):
        check(report)
        same(single, report, 2e-7)


@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed"
)
@pytest.mark.parametrize("extra", [(), ("checkpoint",)])
def test_two_processes_of_deepspeed_zero2(
    single: dict[str, Any], tmp_path: Path, extra: tuple[str, ...]
) -> None:
    for report in run(tmp_path, "zero2", 2, *extra):
        check(report)
        same(single, report, 2e-6)
