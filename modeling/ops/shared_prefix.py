"""Many rows that attend to their image's prefix, stored once, and to a small cache of their own.

A row is one question, or one beam of a question. Its attention is the exact softmax over both
parts, merged by log-sum-exp. The prefix part is one large product an image: the queries of all its
rows, positions and grouped heads against that image's keys, so no row ever copies the prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache

if TYPE_CHECKING:
    from jaxtyping import Int

    from collavo.modeling.ops.prefix_cache import PrefixCache


class SharedPrefixCache(Cache):
    """Shared prefixes plus the rows' own slots, allocated once and written in place.

    The own part is left-padded: row r's tokens fill the slots from `starts[r]` on, and every row
    writes its next token into the same slot. A token in slot s stands at position
    `prefix length + s - starts[r]`.

    Args:
        prefixes: The images' prefixes.
        owners: For each row the index of its prefix, ascending: an image's rows are neighbours.
        starts: For each row its first used slot.
        capacity: Own slots of a row.
    """

    def __init__(
        self,
        prefixes: Sequence[PrefixCache],
        owners: Sequence[int],
        starts: Sequence[int],
        capacity: int,
    ) -> None:
        super().__init__(layers=[])
        if list(owners) != sorted(owners):
            raise ValueError(f"owners must ascend, got {list(owners)}")
        self.prefixes = list(prefixes)
        self.owners = list(owners)
        self.capacity = capacity
        self.used = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.segments = list(_segments(self.owners))
        self.longest = capacity + max(prefix.length for prefix in self.prefixes)
        self._ragged = any(starts)
        device = self.prefixes[0].keys[0].device
        lengths = [self.prefixes[owner].length for owner in self.owners]
        self.starts = torch.tensor(list(starts), device=device)
        self.offsets = torch.tensor(lengths, device=device) - self.starts

    def positions(self, tokens: int) -> Int[Tensor, "rows tokens"]:
        """RoPE positions of the next `tokens` slots; padding stands at the prefix's end."""
        slots = torch.arange(self.used, self.used + tokens, device=self.starts.device)
        # (tokens,) -> (rows, tokens): each row has its own number of padding slots
        slots = torch.maximum(slots[None], self.starts[:, None])
        return self.offsets[:, None] + slots

    def own_mask(self, tokens: int, heads: int, dtype: torch.dtype) -> Tensor | None:
        """Additive mask (rows, 1, heads * tokens, slots) over the own part, None if all is visible.

        A padding query sees its own slot, so that no row of the mask is empty.
        """
        # a single new token sees all slots before it, so only left padding would need a mask
        if tokens == 1 and not self._ragged:
            return None
        device = self.starts.device
        slot = torch.arange(self.used + tokens, device=device)
        query = slot[self.used :]
        seen = (slot[None, None] >= self.starts[:, None, None]) & (slot <= query[:, None])
        # softmax over a row of -inf is NaN, which 0 * NaN would carry into the other part
        seen = seen | (slot == query[:, None])
        mask = torch.zeros(seen.shape, dtype=dtype, device=device)
        # finfo.min, not -inf: kernels subtract the row's maximum, and -inf - -inf is NaN
        mask = mask.masked_fill_(~seen, torch.finfo(dtype).min)
        # the grouped heads are folded into the query axis (see shared_attention), so is the mask
        return mask[:, None].expand(-1, heads, -1, -1).flatten(1, 2)[:, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes the new keys and values behind the own part and returns the whole own part."""
        rows, heads, tokens, _ = key_states.shape
        while len(self.keys) <= layer_idx:
            for held, new in ((self.keys, key_states), (self.values, value_states)):
                held.append(new.new_empty(rows, heads, self.capacity, new.shape[-1]))
        # written in place: torch.cat would copy the whole own part at every token
        end = self.used + tokens
        self.keys[layer_idx][:, :, self.used : end] = key_states
        self.values[layer_idx][:, :, self.used : end] = value_states
        return self.keys[layer_idx][:, :, :end], self.values[layer_idx][:, :, :end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.used

    def reorder(self, rows: Int[Tensor, " rows"], since: int) -> None:
        """Takes row `rows[i]`'s own slots from `since` on as row i's, within the same image.

        Args:
            rows: For each row the row that it continues.
            since: First slot in which those rows may differ; earlier ones are not touched.
        """
        for held in (*self.keys, *self.values):
            part = held[:, :, since : self.used]
            # index_select makes a copy first: rows may take each other's places
            part.copy_(part.index_select(0, rows))

    def select(self, rows: Sequence[int], capacity: int | None = None) -> SharedPrefixCache:
        """Returns a cache of some rows (ascending by image, repeats allowed) with its own slots.

        Args:
            rows: The rows to take; a repeated row is copied (its own part only).
            capacity: Own slots of the new cache, this one's if None.
        """
        starts = self.starts.tolist()
        chosen = SharedPrefixCache(
            self.prefixes,
            [self.owners[row] for row in rows],
            [starts[row] for row in rows],
            capacity or self.capacity,
        )
        index = torch.tensor(list(rows), device=self.starts.device)
        for held, new in ((self.keys, chosen.keys), (self.values, chosen.values)):
            for layer in held:
                # the prefix is not copied, whatever the rows: only their own slots
                new.append(_slots(layer, len(rows), chosen.capacity))
                new[-1][:, :, : self.used] = layer[:, :, : self.used].index_select(0, index)
        chosen.used = self.used
        return chosen

    @classmethod
    def assemble(
        cls,
        parts: Sequence[tuple[SharedPrefixCache, Sequence[int]]],
        owners: Sequence[int],
        copies: int,
        extra: int,
    ) -> SharedPrefixCache:
        """Puts caches that were filled apart into one, with each row `copies` times (its beams).

        Args:
            parts: Caches over the same prefixes, and the place of each of their rows in the whole.
            owners: The prefix of each row of the whole, ascending.
            copies: Neighbouring rows that each row becomes.
            extra: Slots to leave free behind the longest part.
        """
        used = max(cache.used for cache, _ in parts)
        starts = [0] * len(owners)
        for cache, places in parts:
            for place, start in zip(places, cache.starts.tolist(), strict=True):
                # parts are moved to end in one slot, since all rows write their next token together
                starts[place] = start + used - cache.used
        whole = cls(
            parts[0][0].prefixes,
            [owner for owner in owners for _ in range(copies)],
            [start for start in starts for _ in range(copies)],
            used + extra,
        )
        for name in ("keys", "values"):
            for layer, like in enumerate(getattr(parts[0][0], name)):
                slots = _slots(like, len(owners) * copies, whole.capacity)
                # a masked slot is multiplied by zero, so it must hold a number
                slots[:, :, :used] = 0
                rows = slots.view(len(owners), copies, *slots.shape[1:])
                for cache, places in parts:
                    held = getattr(cache, name)[layer][:, None, :, : cache.used]
                    index = torch.tensor(list(places), device=slots.device)
                    rows[index, :, :, used - cache.used : used] = held.expand(
                        -1, copies, -1, -1, -1
                    )
                getattr(whole, name).append(slots)
        whole.used = used
        return whole


def _segments(owners: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yields (first row, row after the last, owner) of each run of rows of one image."""
    begin = 0
    for row in range(1, len(owners) + 1):
        if row == len(owners) or owners[row] != owners[begin]:
            yield begin, row, owners[begin]
            begin = row


def _slots(like: Tensor, rows: int, capacity: int) -> Tensor:
    return like.new_empty(rows, like.shape[1], capacity, like.shape[3])
