"""PLoRA folded into a second weight for image tokens: a faster prefill in more memory."""

from __future__ import annotations

import torch
from torch import nn

from collavo.errors import ConfigError
from collavo.modeling.adapters.switch import has_adapters
from collavo.modeling.adapters.targets import plora_linears

MERGE_LIMIT = 512 << 20
"""Bytes that image weights may take to be merged unasked. In 16 bits they would round twice."""


def merge_image_weights(llm: nn.Module) -> None:
    """Folds PLoRA where it can be: quantised and adapted linears stay as they are.

    Results differ by rounding. For inference.
    """
    for _, linear in plora_linears(llm):
        if linear.merged is None and linear.mergeable:
            linear.merge()


def merges_images(llm: nn.Module, merge: str, bits: int, dtype: torch.dtype) -> bool:
    """Whether LLM.MERGE comes to folding; the settings alone decide.

    Args:
        llm: The decoder, its adapters in place.
        merge: "on", "off", or "auto": in float32 while it takes no more than `MERGE_LIMIT`.
        bits: Of its base linears.
        dtype: What it computes in.

    Raises:
        ConfigError: It is asked for, and cannot be.
    """
    if merge == "on" and bits != 16:
        raise ConfigError(
            f"LLM.MERGE on needs plain weights, but LLM.BITS is {bits}: set LLM.BITS 16, or "
            "LLM.MERGE auto"
        )
    if has_adapters(llm):
        if merge == "on":
            raise ConfigError(
                "LLM.MERGE on needs plain weights, but the model has adapters: fold them in first "
                "(`lbk_entry.py merge`), or set LLM.MERGE auto"
            )
        return False
    if merge != "auto":
        return merge == "on"
    extra = sum(
        linear.in_features * linear.out_features * dtype.itemsize
        for _, linear in plora_linears(llm)
    )
    return bits == 16 and dtype == torch.float32 and extra <= MERGE_LIMIT
