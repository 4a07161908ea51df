"""The joint low-rank product against the sum written plainly, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from collavo.modeling.adapters.low_rank import add_low_rank

IN, OUT = 6, 5
SCALES = (0.5, 2.0)


def inputs(
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    x = torch.randn(2, 7, IN, dtype=dtype, requires_grad=True)
    base = torch.randn(OUT, IN, dtype=dtype)
    pairs = [
        (
            torch.randn(rank, IN, dtype=dtype, requires_grad=True),
            torch.randn(OUT, rank, dtype=dtype, requires_grad=True),
        )
        for rank in (3, 2)
    ]
    return x, base, pairs


def plainly(x: Tensor, base: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    y = F.linear(x, base)
    for (down, up), scale in zip(pairs, SCALES, strict=True):
        y = y + scale * F.linear(F.linear(x, down), up)
    return y


@pytest.mark.parametrize("trained", [(True, False), (False, True), (True, True), (False, False)])
def test_the_sum_and_its_gradients(trained: tuple[bool, bool]) -> None:
    x, base, pairs = inputs()
    weight = torch.randn(2, 7, OUT, dtype=torch.float64)
    y = add_low_rank(F.linear(x, base), x, pairs, SCALES, trained)
    (y * weight).sum().backward()
    got = [x.grad, *(w.grad for pair in pairs for w in pair)]
    x2, _, pairs2 = inputs()
    expected = plainly(x2, base, pairs2)
    (expected * weight).sum().backward()
    torch.testing.assert_close(y, expected)
    wanted = [
        x2.grad,
        *(w.grad if t else None for p, t in zip(pairs2, trained, strict=True) for w in p),
    ]
    for found, right in zip(got, wanted, strict=True):
        assert (found is None) == (right is None)
        if found is not None:
            torch.testing.assert_close(found, right)


def test_without_gradients_it_is_the_same_sum() -> None:
    x, base, pairs = inputs()
    expected = plainly(x, base, pairs)
    with torch.no_grad():
        turned = F.linear(x.transpose(0, 1), base).transpose(0, 1)  # not contiguous
        torch.testing.assert_close(
            add_low_rank(turned, x, pairs, SCALES, (True, True)), expected.detach()
        )


def test_a_view_is_not_written_over() -> None:
    x, base, pairs = inputs()
    flat = F.linear(x.flatten(0, 1), base)
    y = add_low_rank(flat.view(2, 7, OUT), x, pairs, SCALES, (True, False))
    torch.testing.assert_close(y, plainly(x, base, pairs))
    y.sum().backward()
    torch.testing.assert_close(flat, F.linear(x, base).flatten(0, 1))


def test_dropout_scales_what_it_keeps_and_has_the_gradient_of_its_mask() -> None:
    x, base, pairs = inputs()
    torch.manual_seed(3)
    zeros = torch.zeros(2, 7, OUT, dtype=torch.float64)
    y = add_low_rank(zeros, x, pairs, SCALES, (True, False), dropout=0.25)
    torch.manual_seed(3)
    mask = torch.empty(x.shape, dtype=torch.bool).bernoulli_(0.75)
    assert 0 < int(mask.sum()) < mask.numel()
    x2, _, pairs2 = inputs()
    expected = plainly(x2 * mask / 0.75, base * 0, pairs2)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, x2.grad)
    torch.testing.assert_close(pairs[0][0].grad, pairs2[0][0].grad)
    torch.testing.assert_close(pairs[0][1].grad, pairs2[0][1].grad)
    assert pairs[1][0].grad is None


def test_float32_weights_serve_a_bfloat16_base_and_get_float32_gradients() -> None:
    x, base, pairs = inputs(torch.float32)
    half = x.detach().bfloat16().requires_grad_()
    y = add_low_rank(F.linear(half, base.bfloat16()), half, pairs, SCALES, (True, True))
    y.float().sum().backward()
    assert y.dtype == half.grad.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert {w.grad.dtype for pair in pairs for w in pair} == {torch.float32}  # type: ignore[union-attr]
    torch.testing.assert_close(y.float(), plainly(x, base, pairs), rtol=0.05, atol=0.15)
