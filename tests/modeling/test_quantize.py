"""Quantised base linears: near the full-precision ones, as small as computed, or refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from collavo.errors import ConfigError
from collavo.modeling.adapters import quantize
from collavo.modeling.adapters.placement import PlainPlace
from collavo.modeling.adapters.quantize import make_place, require_bitsandbytes
from collavo.modeling.architectures.memory import quantised_bytes, weight_bytes

PUBLISHED = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 92544,
}

ERRORS = {4: 0.12, 8: 0.02}
"""Mean relative error of a product that the quantisation may cause; NF4 of normal weights: 0.09."""


def _placed(bits: int, dtype: torch.dtype, shape: tuple[int, int] = (96, 128)) -> tuple:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.device("meta"):
        linear = nn.Linear(shape[1], shape[0], bias=False)
    return make_place(bits, dtype, "cpu")("model.x", linear, weight.half()), weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("bits", [4, 8])
def test_products_are_near(bits: int, dtype: torch.dtype) -> None:
    linear, weight = _placed(bits, dtype)
    x = torch.randn(2, 7, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        out = linear(x.to(dtype))
    expected = x @ weight.T
    assert out.dtype == dtype
    error = (out.float() - expected).abs().mean() / expected.abs().mean()
    assert 0 < error < ERRORS[bits]


def test_four_bits_are_nf4_doubly_quantised_and_stay_so() -> None:
    linear, _ = _placed(4, torch.float32)
    x = torch.randn(1, 1, 128)
    with torch.inference_mode():
        linear.eval()(x)
    state = linear.weight.quant_state
    assert (state.quant_type, state.nested, state.dtype) == ("nf4", True, torch.float32)
    assert linear.weight.dtype == torch.uint8
    x.requires_grad_()
    linear(x).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.abs().sum() > 0)


@pytest.mark.parametrize("shape", [(96, 128), (100, 4096), (8, 64)])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_linear_takes_the_bytes_that_were_computed(bits: int, shape: tuple[int, int]) -> None:
    linear, _ = _placed(bits, torch.float32, shape)
    weight = linear.weight
    tensors = [weight.data]
    if bits == 8:
        tensors.append(weight.SCB)
    else:
        state = weight.quant_state
        inner = state.state2
        tensors += [state.absmax, state.code, state.offset, inner.absmax, inner.code]
    assert sum(t.numel() * t.element_size() for t in tensors) == quantised_bytes(shape, bits)


def test_the_7b_model_fits_into_eight_gigabytes_at_four_bits() -> None:
    """Section 2 of the design promises it: 16-bit PLoRA, NF4 bases, no dead tensors."""
    assert 7.9e9 < weight_bytes(PUBLISHED, 4, "bf16") <= 8.0e9
    assert weight_bytes(PUBLISHED, 4, "bf16") == weight_bytes(PUBLISHED, 4, "fp16")
    assert weight_bytes(PUBLISHED, 16, "fp16") == 2 * (9_291_962_368 - 150_994_944)
    assert weight_bytes(PUBLISHED, 16, "fp32") == 2 * weight_bytes(PUBLISHED, 16, "bf16")
    assert 11.2e9 < weight_bytes(PUBLISHED, 8, "bf16") < 11.4e9


def test_a_bias_is_kept() -> None:
    linear = nn.Linear(64, 32)
    placed = make_place(4, torch.float32, "cpu")("model.x", linear, linear.weight.detach())
    assert torch.equal(placed.bias, linear.bias)


def test_sixteen_bits_are_left_plain() -> None:
    assert isinstance(make_place(16, torch.float32, "cpu"), PlainPlace)


def test_other_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="LLM.BITS is 3; it may be 16, 8 or 4"):
        make_place(3, torch.float32, "cpu")
    with pytest.raises(ConfigError, match="LLM.BITS is 2"):
        weight_bytes(PUBLISHED, 2)
    with pytest.raises(ConfigError, match="LLM.DTYPE is 'int8'"):
        weight_bytes(PUBLISHED, 4, "int8")


@pytest.mark.parametrize("bits", [4, 8])
def test_without_bitsandbytes_it_says_what_to_do(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=rf"LLM.BITS {bits} needs .* set LLM.BITS to 16"):
        make_place(bits, torch.float32, "cpu")


def test_bitsandbytes_says_nothing() -> None:
    code = (
        "import logging, torch; logging.basicConfig(level=logging.WARNING)\n"
        "import collavo.modeling.adapters.peft_format\n"  # imports peft, which imports bitsandbytes
        f"from {quantize.__name__} import make_place\n"
        "l = torch.nn.Linear(64, 32, bias=False)\n"
        "for bits in (4, 8):\n"
        "    make_place(bits, torch.float32, 'cpu')('x', l, l.weight.detach())(torch.ones(1, 64))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == done.stdout == ""
    assert require_bitsandbytes(4).__name__ == "bitsandbytes"
