"""Attention over one part of the keys, with the log-sum-exp by which parts are merged exactly.

Softmax over the union of two key sets is the sum of the two partial softmaxes weighted by
`exp(lse_part - lse_union)`; nothing is approximated.
Source: FlashAttention (Dao et al., 2022, arXiv:2205.14135), section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

_CPU_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def partial_attention(
    query: Float[Tensor, "batch kv_heads N head_dim"],
    key: Float[Tensor, "batch kv_heads S head_dim"],
    value: Float[Tensor, "batch kv_heads S head_dim"],
    scaling: float,
    mask: Float[Tensor, "batch 1 N S"] | None = None,
) -> tuple[Float[Tensor, "batch kv_heads N head_dim"], Float[Tensor, "batch kv_heads N"]]:
    """Attends to one part of the keys.

    Args:
        query: Queries after RoPE; the N axis holds whatever shares the same keys.
        key: Keys of the part.
        value: Values of the part.
        scaling: Multiplies the scores.
        mask: Added to the scores; every query must see at least one key.

    Returns:
        The part's attention output, and the log-sum-exp of its scores in float32.
    """
    # torch's public attention does not return the log-sum-exp; the operators below it do
    if query.device.type == "cpu" and query.dtype in _CPU_DTYPES and not query.requires_grad:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scaling
        )
    if query.is_cuda and mask is None and _flash_takes(query):
        found = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, False, False, scale=scaling
        )
        return found[0], found[1]
    return materialised_attention(query, key, value, scaling, mask)


def materialised_attention(
    query: Float[Tensor, "batch kv_heads N head_dim"],
    key: Float[Tensor, "batch kv_heads S head_dim"],
    value: Float[Tensor, "batch kv_heads S head_dim"],
    scaling: float,
    mask: Float[Tensor, "batch 1 N S"] | None = None,
) -> tuple[Float[Tensor, "batch kv_heads N head_dim"], Float[Tensor, "batch kv_heads N"]]:
    """Does what `partial_attention` does with plain matrix products, softmax in float32."""
    scores = torch.matmul(query, key.transpose(-1, -2)).float() * scaling
    if mask is not None:
        scores = scores + mask
    lse = torch.logsumexp(scores, dim=-1)
    # one exponential serves both softmax and log-sum-exp
    weights = torch.exp(scores - lse[..., None]).to(value.dtype)
    return torch.matmul(weights, value), lse


def merge(
    first: Float[Tensor, "*rows head_dim"],
    first_lse: Float[Tensor, "*rows"],
    second: Float[Tensor, "*rows head_dim"],
    second_lse: Float[Tensor, "*rows"],
) -> Float[Tensor, "*rows head_dim"]:
    """Merges the attention over two disjoint key sets into the attention over both."""
    # sigmoid(a - b) = exp(a) / (exp(a) + exp(b)), without overflow
    share = torch.sigmoid(first_lse.float() - second_lse.float())[..., None].to(first.dtype)
    return second + (first - second) * share


def _flash_takes(query: Tensor) -> bool:
    """Whether CUDA's flash kernel takes the queries as they are."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    return half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256 and not query.requires_grad
