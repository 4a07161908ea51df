"""A key-value cache for prefixes: the forward pass ends once the last layer's keys are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig


class _PrefixComplete(Exception):
    """The last layer has written its keys and values; what follows concerns no other token."""


class PrefillCache(DynamicCache):
    """Keeps keys and values of a prefix whose own outputs nobody reads.

    A prefix needs no logits, so its last layer's attention, MLP and the final norm are left out.

    Args:
        config: The decoder's config.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config=config)
        self._last = config.get_text_config(decoder=True).num_hidden_layers - 1

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Adds a layer's keys and values; ends the forward pass after the last layer's."""
        held = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if layer_idx == self._last:
            raise _PrefixComplete
        return held

    def fill(self, forward: Callable[..., Any], **inputs: Any) -> None:
        """Runs a decoder's forward over the prefix, as far as this cache needs it."""
        try:
            forward(past_key_values=self, use_cache=True, **inputs)
        except _PrefixComplete:
            return
        raise RuntimeError("the decoder wrote no keys of its last layer into the cache")
