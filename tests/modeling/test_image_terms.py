"""The image tokens' terms in place, against the sum written plainly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from collavo.modeling.adapters.image_terms import add_image_terms
from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.plora import PLoRADown, PLoRALinear

B, S, START, END, OUT, RANK, PAIRS = 2, 700, 3, 603, 5, 3, 4


def inputs() -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {
        "y": (B, S, OUT),
        "low": (B, END - START, RANK),
        "up": (OUT, RANK),
        "table": (PAIRS, OUT),
    }
    return {
        name: torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for name, shape in shapes.items()
    }


def index() -> Tensor:
    return torch.randint(0, PAIRS, (B, END - START), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("crayon", [False, True])
@pytest.mark.parametrize("view", [False, True])
def test_the_sum_and_its_gradients(crayon: bool, view: bool) -> None:
    a, b = inputs(), inputs()
    base = a["y"] * 1.5  # no leaf, as a linear's output is none
    if view:
        base = base.transpose(0, 1).contiguous().transpose(0, 1)
    got = add_image_terms(
        base, (START, END), a["low"], a["up"], 0.5,
        a["table"] if crayon else None, index() if crayon else None,
    )  # fmt: skip
    term = b["low"] @ b["up"].T + (b["table"][index()] if crayon else 0)
    wanted = b["y"] * 1.5
    wanted = torch.cat([wanted[:, :START], wanted[:, START:END] + 0.5 * term, wanted[:, END:]], 1)
    torch.testing.assert_close(got, wanted)
    weight = torch.randn(B, S, OUT, dtype=torch.float64)
    (got * weight).sum().backward()
    (wanted * weight).sum().backward()
    for name in a:
        if name != "table" or crayon:
            torch.testing.assert_close(a[name].grad, b[name].grad)


def test_frozen_weights_get_no_gradient_and_keep_no_activation() -> None:
    a = inputs()
    kept: list[tuple[int, ...]] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(tuple(t.shape)) or t, lambda t: t
    ):
        y = add_image_terms(
            a["y"] * 1, (START, END), a["low"].detach(), a["up"].detach(), 0.5, a["table"], index()
        )
    assert (B, S, OUT) not in kept
    assert (B, END - START, RANK) not in kept
    y.sum().backward()
    assert a["low"].grad is None
    assert a["table"].grad is not None


@pytest.mark.parametrize("trained", [True, False])
def test_a_frozen_plora_drops_nothing(trained: bool) -> None:
    torch.manual_seed(0)
    state = InjectionState()
    made = PLoRALinear(nn.Linear(6, OUT, bias=False), PLoRADown(6, RANK, True, 0.5), state)
    for linear in (made.up, made.crayon_up):
        nn.init.normal_(linear.weight)  # type: ignore[union-attr]
    made.requires_grad_(trained)
    made.train()
    x = torch.randn(1, 9, 6, requires_grad=True)
    features = torch.randn(PAIRS, 6, requires_grad=True)
    term = CrayonTerm(features, torch.randint(0, PAIRS, (1, 5)))
    with state.injection(Injection((2, 7), None, term, 1, 9)):
        one = made(x)
        state.active.memo.clear()  # type: ignore[union-attr]
        other = made(x)
    assert torch.equal(one, other) != trained
    assert torch.equal(one[:, :2], other[:, :2])
    one.sum().backward()
    assert features.grad is not None
