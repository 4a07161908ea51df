"""4-bit and 8-bit base linears, quantised one by one while a checkpoint is read.

NF4 with double quantisation is of QLoRA (Dettmers et al., 2023, arXiv 2305.14314, section 3),
8 bits of LLM.int8() (Dettmers et al., 2022, arXiv 2208.07339). The original lists its base linears
as not to be quantised, so that its 4 bits reach PLoRA alone; here they reach the bases alone.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from collavo.errors import ConfigError
from collavo.modeling.adapters.placement import Place, PlainPlace, place_tensor

INT8_THRESHOLD = 6.0
"""Activations beyond it keep 16 bits. Source: LLM.int8(), section 3.2, and CoLLaVO's loader."""


def make_place(bits: int, dtype: torch.dtype, device: torch.device | str) -> Place:
    """Returns what puts base linears into their place with `LLM.BITS` bits a weight.

    Args:
        bits: 16 keeps the linears in `dtype`; 8 and 4 quantise them.
        dtype: The dtype to compute in.
        device: Where the weights go.

    Raises:
        ConfigError: Other bits, or bitsandbytes is not usable.
    """
    if bits == 16:
        return PlainPlace(dtype, device)
    if bits == 8:
        return Int8Place(dtype, device)
    if bits == 4:
        return NF4Place(dtype, device)
    raise ConfigError(f"LLM.BITS is {bits}; it may be 16, 8 or 4")


class NF4Place:
    """Makes 4-bit linears: NF4 in blocks of 64, their scales in 8 bits in blocks of 256.

    Args:
        dtype: The dtype to compute in.
        device: Where the weights go; they are quantised there.

    Raises:
        ConfigError: bitsandbytes is not usable.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device | str) -> None:
        self.bnb = require_bitsandbytes(4)
        self.dtype = dtype
        self.device = torch.device(device)

    def __call__(self, name: str, linear: nn.Linear, weight: Tensor) -> nn.Module:
        out = self.bnb.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=False,
            compute_dtype=self.dtype,
            compress_statistics=True,
            quant_type="nf4",
            device="meta",
        )
        out.weight = self.bnb.nn.Params4bit(
            weight,
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
            module=out,
        ).to(self.device)
        out.weight.quant_state.dtype = self.dtype
        keep_packing(out)
        return _finish(out, linear, self.dtype, self.device)


class Int8Place:
    """Makes 8-bit linears: one scale a row, activations in 8 bits but for outliers.

    Outlier columns are found over a whole batch, so answers may depend on how rows are batched.

    Args:
        dtype: The dtype of what goes in and out.
        device: Where the weights go; they are quantised there.

    Raises:
        ConfigError: bitsandbytes is not usable.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device | str) -> None:
        self.bnb = require_bitsandbytes(8)
        self.dtype = dtype
        self.device = torch.device(device)

    def __call__(self, name: str, linear: nn.Linear, weight: Tensor) -> nn.Module:
        out = self.bnb.nn.Linear8bitLt(
            linear.in_features,
            linear.out_features,
            bias=False,
            has_fp16_weights=False,
            threshold=INT8_THRESHOLD,
            device="meta",
        )
        out.weight = self.bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False).to(
            self.device
        )
        return _finish(out, linear, self.dtype, self.device)


def keep_packing(linear: nn.Module) -> None:
    """Keeps a 4-bit linear as it is packed.

    On CPUs with AVX512-BF16 the library would repack the weight at its first use: that computes in
    bf16 whatever the dtype, drops the double quantisation, and has no gradient.
    """
    cast("Any", linear).support_avx512bf16_for_cpu = False


def dequantised(linear: nn.Module) -> Tensor:
    """Returns the weight that a base linear computes with, (out, in) in float32.

    Args:
        linear: As any of the places here made it.
    """
    weight: Any = linear.weight
    kind = type(linear).__name__
    if kind == "Linear4bit":
        functional = require_bitsandbytes(4).functional
        found: Tensor = functional.dequantize_4bit(weight.data, weight.quant_state)
        return found.float()
    if kind == "Linear8bitLt":
        codes = weight.data if weight.CB is None else weight.CB
        scaled: Tensor = codes.float() * weight.SCB.float().view(-1, 1) / 127
        return scaled
    plain: Tensor = weight.detach().float()
    return plain


def require_bitsandbytes(bits: int) -> ModuleType:
    """Imports bitsandbytes.

    Args:
        bits: `LLM.BITS`, for the message.

    Raises:
        ConfigError: It is not installed or does not load on this machine.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import bitsandbytes
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"LLM.BITS {bits} needs the package bitsandbytes, which does not load here ({error}); "
            "run `bash install` again, or set LLM.BITS to 16"
        ) from error
    return bitsandbytes


def _finish(
    out: nn.Module, linear: nn.Linear, dtype: torch.dtype, device: torch.device
) -> nn.Module:
    if linear.bias is not None:
        bias = linear.bias
        out.bias = bias if bias.is_meta else place_tensor(bias, dtype, device)
    return out.train(linear.training)
