"""Mimetic initialisation: a decoder whose tokens attend to their like from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LIKENESS = 0.8
"""Scale of the projection that queries and keys share at the start of a training from scratch."""

DRAWN_PART = 0.3
"""What is left of the queries' and keys' own draw."""


@torch.no_grad()
def match_queries_and_keys(llm: PreTrainedModel, seed: int) -> None:
    """Makes each token attend to tokens like itself from the start (mimetic initialisation).

    W_q and W_k of a head become one random projection, plus a part of what was drawn, so that
    W_q W_k^T is near a multiple of the identity. A small model then learns to look things up in its
    prompt in hundreds of steps, where it otherwise takes many thousands.

    Source: Trockman and Kolter, 2023, arXiv 2305.09828, section 3, with a plain scale in the place
    of its two.

    Args:
        llm: A Llama-like decoder with PLoRA.
        seed: Draws the projections.
    """
    config = llm.config
    heads, kv_heads, width = (
        config.num_attention_heads,
        config.num_key_value_heads,
        config.hidden_size,
    )
    size = width // heads
    generator = torch.Generator().manual_seed(seed)
    for layer in llm.get_decoder().layers:
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q[: kv_heads * size]
        groups = basis.view(kv_heads, size, width).repeat_interleave(heads // kv_heads, dim=0)
        for name, likeness in (("q_proj", groups.reshape(-1, width)), ("k_proj", basis)):
            weight = getattr(layer.self_attn, name).base.weight
            weight.copy_(LIKENESS * likeness + DRAWN_PART * weight)
