"""Forwards of a transformers decoder whose rows share prefixes.

It hooks into any decoder that asks transformers' AttentionInterface (Llama, Mistral, Qwen2, ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from collavo.modeling.ops.partial_attention import merge, partial_attention

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from transformers import PreTrainedModel

    from collavo.modeling.ops.shared_prefix import SharedPrefixCache

IMPLEMENTATION = "collavo_shared_prefix"


@torch.no_grad()
def forward_rows(
    llm: PreTrainedModel,
    cache: SharedPrefixCache,
    input_ids: Int[Tensor, "rows tokens"],
    keep: int = 1,
) -> Float[Tensor, "rows keep vocab"]:
    """Runs the decoder on the rows' next tokens and appends them to their own parts.

    Args:
        llm: A causal language model of transformers.
        cache: The rows' cache.
        input_ids: The next tokens, left-padded on the first call.
        keep: Logits of this many last positions are computed, no others.
    """
    tokens = input_ids.shape[1]
    with attention_of(llm):
        logits = llm(
            input_ids=input_ids,
            position_ids=cache.positions(tokens),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
            shared_prefix=_Step(cache, tokens),
        ).logits
    cache.used += tokens
    return logits


class _Step:
    """One forward over a cache; makes the mask once for all layers."""

    def __init__(self, cache: SharedPrefixCache, tokens: int) -> None:
        self.cache, self.tokens = cache, tokens
        self._masks: dict[tuple[int, torch.dtype], Tensor | None] = {}

    def mask(self, heads: int, dtype: torch.dtype) -> Tensor | None:
        if (heads, dtype) not in self._masks:
            self._masks[heads, dtype] = self.cache.own_mask(self.tokens, heads, dtype)
        return self._masks[heads, dtype]


def shared_prefix_attention(
    module: nn.Module,
    query: Float[Tensor, "rows heads tokens head_dim"],
    key: Float[Tensor, "rows kv_heads slots head_dim"],
    value: Float[Tensor, "rows kv_heads slots head_dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    shared_prefix: _Step | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "rows tokens heads head_dim"], None]:
    """The attention function that transformers calls; `shared_prefix` comes with the forward."""
    if shared_prefix is None:
        raise ValueError(f"{IMPLEMENTATION} attention runs only under forward_rows")
    _refuse_unknown(shared_prefix.cache, kwargs)
    rows, heads, tokens, width = query.shape
    kv_heads = key.shape[1]
    groups = heads // kv_heads
    scale = width**-0.5 if scaling is None else scaling
    # (rows, heads, tokens, width) -> grouped heads beside the tokens: all of them read the same
    # keys, so grouped-query attention needs no repeated key
    folded = query.reshape(rows, kv_heads, groups * tokens, width)
    mask = shared_prefix.mask(groups, query.dtype)
    own, own_lse = partial_attention(folded, key, value, scale, mask)
    layer = cast(int, module.layer_idx)
    prefix, prefix_lse = _prefix_part(folded, shared_prefix.cache, layer, scale)
    output = merge(prefix, prefix_lse, own, own_lse)
    return output.reshape(rows, heads, tokens, width).transpose(1, 2), None


def _prefix_part(
    folded: Float[Tensor, "rows kv_heads N head_dim"],
    cache: SharedPrefixCache,
    layer: int,
    scale: float,
) -> tuple[Float[Tensor, "rows kv_heads N head_dim"], Float[Tensor, "rows kv_heads N"]]:
    """Attends to the prefixes: one product an image over the queries of all its rows."""
    rows, kv_heads, queries, width = folded.shape
    # rows beside queries: an image's rows are neighbours (owners ascend), so each image is one
    # slice of the N axis and one matrix product
    flat = folded.transpose(0, 1).reshape(1, kv_heads, rows * queries, width)
    parts, lses = [], []
    for begin, end, owner in cache.segments:
        prefix = cache.prefixes[owner]
        query = flat[:, :, begin * queries : end * queries]
        if prefix.length == 0:
            # nothing shared: weight exp(-inf) = 0 in the merge
            parts.append(torch.zeros_like(query))
            lses.append(query.new_full(query.shape[:3], float("-inf"), dtype=torch.float32))
            continue
        part, lse = partial_attention(
            query, prefix.keys[layer][None], prefix.values[layer][None], scale
        )
        parts.append(part)
        lses.append(lse)
    part = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)).reshape(
        kv_heads, rows, queries, width
    )
    lse = (lses[0] if len(lses) == 1 else torch.cat(lses, dim=2)).reshape(kv_heads, rows, queries)
    return part.transpose(0, 1), lse.transpose(0, 1)


def _refuse_unknown(cache: SharedPrefixCache, options: dict[str, Any]) -> None:
    """Refuses attention variants that would change the scores."""
    window = options.get("sliding_window")
    if window is not None and window < (longest := cache.longest):
        raise ValueError(f"a sliding window of {window} is shorter than the prompt ({longest})")
    for name in ("softcap", "s_aux"):
        if options.get(name) is not None:
            raise ValueError(f"attention with {name} shares no prefix; set EVAL.REUSE to vision")


AttentionInterface.register(IMPLEMENTATION, shared_prefix_attention)


@contextmanager
def attention_of(llm: PreTrainedModel) -> Iterator[None]:
    """Lets the decoder attend through `shared_prefix_attention` inside the block.

    transformers makes no mask for an implementation without a mask function, which is what we want.
    """
    config = llm.config.get_text_config(decoder=True)
    before = config._attn_implementation
    config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before
