"""PLoRA's linear against the sum written plainly with a boolean mask, on every path."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.plora import PLoRADown, PLoRALinear

B, S, START, END, WIDTH, OUT, RANK, PAIRS = 3, 11, 2, 8, 12, 10, 4, 5


def linear(state: InjectionState, bias: bool = False, crayon: bool = True) -> PLoRALinear:
    torch.manual_seed(0)
    down = PLoRADown(WIDTH, RANK, crayon)
    made = PLoRALinear(nn.Linear(WIDTH, OUT, bias=bias), down, state, scale=0.5)
    for up in (made.up, made.crayon_up):
        if up is not None:
            nn.init.normal_(up.weight)
    return made


def term() -> CrayonTerm:
    torch.manual_seed(1)
    index = torch.randint(0, PAIRS, (B, END - START))
    return CrayonTerm(torch.randn(PAIRS, WIDTH), index)


def plainly(
    made: PLoRALinear, x: torch.Tensor, mask: torch.Tensor, crayon: torch.Tensor | None
) -> torch.Tensor:
    """The original's way: boolean indexing, the crayon on every token by itself."""
    down = made.shared_down
    y = made.base(x)
    added = x[mask] @ down.image.weight.T @ made.up.weight.T
    if crayon is not None and made.crayon_up is not None and down.crayon is not None:
        added = added + crayon @ down.crayon.weight.T @ made.crayon_up.weight.T
    out = y.clone()
    out[mask] = y[mask] + 0.5 * added
    return out


def injections(crayon: CrayonTerm | None) -> dict[str, Injection]:
    rows = (torch.arange(B)[:, None] * S + torch.arange(START, END)).flatten()
    flat = None if crayon is None else CrayonTerm(crayon.features, crayon.index.flatten())
    return {
        "span": Injection((START, END), None, crayon, B, S),
        "rows": Injection(None, rows, flat, B, S),
    }


def test_without_an_injection_it_is_its_base_bit_by_bit() -> None:
    state = InjectionState()
    made = linear(state)
    x = torch.randn(B, S, WIDTH)
    assert torch.equal(made(x), made.base(x))
    with state.injection(None):
        assert torch.equal(made(x), made.base(x))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("with_crayon", [False, True])
@pytest.mark.parametrize("where", ["span", "rows"])
@pytest.mark.parametrize("grad", [False, True])
def test_every_path_gives_the_plain_sum(
    bias: bool, with_crayon: bool, where: str, grad: bool
) -> None:
    state = InjectionState()
    made = linear(state, bias)
    crayon = term() if with_crayon else None
    x = torch.randn(B, S, WIDTH)
    mask = torch.zeros(B, S, dtype=torch.bool)
    mask[:, START:END] = True
    tokens = None if crayon is None else crayon.features[crayon.index.flatten()]
    with torch.set_grad_enabled(grad), state.injection(injections(crayon)[where]):
        found = made(x)
        torch.testing.assert_close(found, plainly(made, x, mask, tokens))
        if not grad and not bias:
            made.merge()
            torch.testing.assert_close(made(x), found)
    assert state.active is None


@pytest.mark.parametrize("where", ["span", "rows"])
def test_gradients_are_those_of_the_plain_sum(where: str) -> None:
    state = InjectionState()
    made = linear(state)
    crayon = term()
    mask = torch.zeros(B, S, dtype=torch.bool)
    mask[:, START:END] = True
    x = torch.randn(B, S, WIDTH)
    weight = torch.randn(B, S, OUT)
    grads = []
    for plain in (False, True):
        made.zero_grad()
        features = crayon.features.clone().requires_grad_()
        inputs = x.clone().requires_grad_()
        given = CrayonTerm(features, crayon.index)
        if plain:
            y = plainly(made, inputs, mask, features[crayon.index.flatten()])
        else:
            with state.injection(injections(given)[where]):
                y = made(inputs)
        (y * weight).sum().backward()
        grads.append([inputs.grad, features.grad, *(p.grad for p in made.parameters())])
    assert len(grads[0]) == 7 and all(g is not None for g in grads[0])
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("where", ["span", "rows"])
def test_dropout_is_of_training_alone(grad: bool, where: str) -> None:
    state = InjectionState()
    made = linear(state)
    made.down.dropout.p = 0.5
    x = torch.ones(B, S, WIDTH)
    with torch.set_grad_enabled(grad), state.injection(injections(term())[where]):
        drawn = [made.train()(x) for _ in range(2)]
        still = [made.eval()(x) for _ in range(2)]
    assert torch.equal(drawn[0][:, :START], drawn[1][:, :START])
    assert not torch.allclose(drawn[0][:, START:END], drawn[1][:, START:END])
    assert torch.equal(*still)


def test_autocast_is_followed() -> None:
    state = InjectionState()
    made = linear(state).eval()
    with torch.no_grad(), state.injection(injections(term())["span"]):
        with torch.autocast("cpu", torch.bfloat16):
            found = made(torch.ones(B, S, WIDTH))
        full = made(torch.ones(B, S, WIDTH))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), full, atol=0.2, rtol=0.05)


def test_b_starts_at_zero_and_a_does_not() -> None:
    made = PLoRALinear(nn.Linear(WIDTH, OUT), PLoRADown(WIDTH, RANK, True), InjectionState())
    assert made.crayon_up is not None
    assert not made.up.weight.any() and not made.crayon_up.weight.any()
    assert made.down.image.weight.std() > 0


def test_a_merge_that_is_stale_is_not_used() -> None:
    state = InjectionState()
    made = linear(state).eval()
    made.merge()
    injection = injections(None)["span"]
    with torch.no_grad(), state.injection(injection):
        before = made(torch.ones(B, S, WIDTH))
        made.up.weight.mul_(2)
        after = made(torch.ones(B, S, WIDTH))
    assert made.merged is None
    expected = plainly(made, torch.ones(B, S, WIDTH), _mask(), None)
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(before, after)
    made.merge()
    assert made.merged is not None and made.train().merged is None


def _mask() -> torch.Tensor:
    mask = torch.zeros(B, S, dtype=torch.bool)
    mask[:, START:END] = True
    return mask


@pytest.mark.parametrize("where", ["span", "rows"])
def test_rows_repeated_for_beams_keep_their_image(where: str) -> None:
    state = InjectionState()
    made = linear(state)
    x = torch.randn(B, S, WIDTH)
    injection = injections(term())[where]
    with torch.no_grad():
        with state.injection(injection):
            once = made(x)
        with state.injection(injection.for_batch(2 * B)):
            twice = made(x.repeat_interleave(2, dim=0))
    torch.testing.assert_close(twice, once.repeat_interleave(2, dim=0))
    with pytest.raises(ValueError, match="no multiple"):
        injection.for_batch(2 * B + 1)


def test_an_injection_is_a_span_or_rows() -> None:
    with pytest.raises(ValueError, match="either a span or rows"):
        Injection()
