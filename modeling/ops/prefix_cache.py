"""The keys and values of one image's prompt prefix, stored once for all its questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float
    from transformers import Cache


@dataclass(frozen=True)
class PrefixCache:
    """Keys (after RoPE) and values of the positions 0 .. length - 1, one pair a layer.

    Args:
        keys: Per layer (kv_heads, length, head_dim).
        values: Per layer (kv_heads, length, head_dim).
        length: Positions covered; 0 for a prompt that shares nothing.
    """

    keys: tuple[Float[Tensor, "kv_heads length head_dim"], ...]
    values: tuple[Float[Tensor, "kv_heads length head_dim"], ...]
    length: int

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        return sum(t.untyped_storage().nbytes() for t in (*self.keys, *self.values))

    def to(self, device: torch.device | str) -> PrefixCache:
        """Returns it on another device."""
        return PrefixCache(
            tuple(k.to(device) for k in self.keys),
            tuple(v.to(device) for v in self.values),
            self.length,
        )

    @staticmethod
    def split(cache: Cache, lengths: Sequence[int]) -> list[PrefixCache]:
        """Takes apart the cache of a right-padded batch, one entry an image.

        Each image gets memory of its own, so that dropping one frees it. The layers of `cache` are
        emptied on the way: at no time is more than one layer held twice.

        Args:
            cache: A transformers cache after the prefill of (batch, longest) positions.
            lengths: Positions of each row without its padding.

        Raises:
            ValueError: The cache does not hold that many rows or positions.
        """
        keys: list[list[Tensor]] = [[] for _ in lengths]
        values: list[list[Tensor]] = [[] for _ in lengths]
        for layer in cache.layers:
            key, value = getattr(layer, "keys", None), getattr(layer, "values", None)
            if key is None or value is None or key.dim() != 4:
                raise ValueError(f"a {type(layer).__name__} holds no keys to share")
            if key.shape[0] != len(lengths) or key.shape[2] < max(lengths):
                raise ValueError(
                    f"the cache holds {key.shape[0]} rows of {key.shape[2]} positions, "
                    f"the lengths say {len(lengths)} rows of up to {max(lengths)}"
                )
            for row, length in enumerate(lengths):
                keys[row].append(_own(key, row, length))
                values[row].append(_own(value, row, length))
            # freed layer by layer, so that the peak is one cache and one layer, not two caches
            vars(layer).update(keys=None, values=None)
            del key, value
        return [
            PrefixCache(tuple(k), tuple(v), length)
            for k, v, length in zip(keys, values, lengths, strict=True)
        ]

    @staticmethod
    def empty(
        layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device | str
    ) -> PrefixCache:
        """Returns a prefix of no positions, for prompts without an image."""
        nothing = torch.empty(kv_heads, 0, head_dim, dtype=dtype, device=device)
        return PrefixCache((nothing,) * layers, (nothing,) * layers, 0)


def _own(batch: Tensor, row: int, length: int) -> Tensor:
    """The row's valid part in memory of its own; the batch's memory itself if it is all of it."""
    # padding stands right of a row's tokens, so its valid part is the first `length` positions
    part = batch[row, :, :length]
    whole = part.numel() * part.element_size() == batch.untyped_storage().nbytes()
    return (
        part
        if whole and part.is_contiguous()
        else part.clone(memory_format=torch.contiguous_format)
    )
