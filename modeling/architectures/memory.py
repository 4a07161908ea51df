"""How much memory a model's weights take, from its config alone: no tensor is made."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from typing import Any

from collavo.errors import ConfigError
from collavo.modeling.architectures.published import DEAD_SEG, PLORA_RANK, published_shapes

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of a number by the name that `LLM.DTYPE` has for its type."""

NF4_BLOCK = 64
"""Weights that share a scale."""

SCALE_BLOCK = 256
"""Scales that share a scale of their own (double quantisation)."""

NF4_TABLES = 4 * (16 + 256 + 1)
"""Bytes a linear has besides: the 16 values of NF4, the 256 of its scales, the scales' mean."""


def weight_bytes(
    config: Mapping[str, Any], bits: int = 16, dtype: str = "bf16", rank: int = PLORA_RANK
) -> int:
    """Returns the bytes that the loaded weights of a CoLLaVO take.

    The base linears (`Plora_main`) are quantised; embeddings, head, vision tower, projectors,
    tables, norms and PLoRA keep `dtype`. What the checkpoint holds and nothing reads (the crayon
    branch of w2) is not loaded and not counted. Working memory (caches, activations) comes on top.

    Args:
        config: The fields of config.json.
        bits: `LLM.BITS`: 16 (all in `dtype`), 8 or 4.
        dtype: fp32, bf16 or fp16.
        rank: The PLoRA rank of the checkpoint.

    Raises:
        ConfigError: Other bits or another dtype.
    """
    if bits not in (16, 8, 4):
        raise ConfigError(f"LLM.BITS is {bits}; it may be 16, 8 or 4")
    if dtype not in BYTES:
        raise ConfigError(f"LLM.DTYPE is {dtype!r}; it may be one of {', '.join(BYTES)}")
    total = 0
    for name, shape in published_shapes(config, rank).items():
        if DEAD_SEG in name:
            continue
        quantised = bits < 16 and name.endswith("Plora_main.weight")
        if not quantised:
            total += prod(shape) * BYTES[dtype]
        else:
            total += sum(quantised_bytes(part, bits) for part in _parts(config, name, shape))
    return total


def quantised_bytes(shape: tuple[int, ...], bits: int) -> int:
    """Returns the bytes of one (out, in) linear at 8 or 4 bits, scales and tables included."""
    numbers = prod(shape)
    if bits == 8:
        return numbers + 4 * shape[0]
    scales = ceil(numbers / NF4_BLOCK)
    return ceil(numbers / 2) + scales + 4 * ceil(scales / SCALE_BLOCK) + NF4_TABLES


def _parts(config: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The linears that a stored one becomes: query, key and value are packed in one matrix."""
    if ".wqkv." not in name:
        return [shape]
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    head = shape[0] // (heads + 2 * kv_heads)
    return [(head * n, shape[1]) for n in (heads, kv_heads, kv_heads)]
