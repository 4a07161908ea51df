"""The order in which the rows of sources are taken: batch n without the batches before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from collavo.datasets.instruction.mix import Mix, Ref
from collavo.datasets.instruction.shuffle import order

MEGA_BATCHES = 50
"""Batches whose samples are sorted by length together. Source: transformers' and LLaVA's
`get_length_grouped_indices` (`mega_batch_mult`)."""

_LEAST_BLOCK = 4096
"""Slots over which shares are rounded, where they do not come out even."""


class Schedule:
    """An endless sequence of rows from sources by their weights.

    The slots come in blocks. In each block every source has its share of the slots, in random
    order, and goes on in its own walk where it stood; a walk is one random order of the source
    after the other, so that nothing is dropped or repeated within one. Where the shares are those
    of the sources' sizes a block is one pass over all.

    Args:
        mix: The sources.
        chosen: Numbers of the sources that take part; their weights are above 0.
        batch_size: Rows of a batch.
        seed: Any whole number.
        name: Tells schedules of one seed apart.
        group_by_length: Whether batches are of one modality (with an image, or text only) and of
            similar length.
    """

    def __init__(
        self,
        mix: Mix,
        chosen: Sequence[int],
        batch_size: int,
        seed: int,
        name: str = "",
        group_by_length: bool = False,
    ) -> None:
        self._mix, self._chosen = mix, list(chosen)
        self._batch_size, self._key = batch_size, f"{seed}/{name}"
        self._grouped = group_by_length
        self._sizes = [len(mix.sources[s]) for s in self._chosen]
        self._names = [mix.names[s] for s in self._chosen]
        weights = [mix.sources[s].spec.weight for s in self._chosen]
        self.rows = sum(self._sizes)
        self._counts = _apportion(weights, self.rows)
        self._block = sum(self._counts)
        self._walk = lru_cache(maxsize=2 * len(self._chosen))(self._order_of)
        self._slots = lru_cache(maxsize=2)(self._slots_of)
        self._window = lru_cache(maxsize=2)(self._window_of)

    @property
    def batches(self) -> int:
        """Batches of one pass, the last of which reaches into the next."""
        return -(-self.rows // self._batch_size)

    def batch(self, number: int) -> tuple[Ref, ...]:
        """Returns the rows of batch `number`, from 0."""
        if self._grouped:
            window, place = divmod(number, self.batches)
            sources, rows = self._window(window)
            chosen = slice(place * self._batch_size, (place + 1) * self._batch_size)
            sources, rows = sources[chosen], rows[chosen]
        else:
            first = number * self._batch_size
            sources, rows = self._take(first, first + self._batch_size)
        pairs = zip(sources.tolist(), rows.tolist(), strict=True)
        return tuple(Ref(self._chosen[s], row) for s, row in pairs)

    def _take(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns source and row of the slots from `start` to before `stop`."""
        parts = []
        while start < stop:
            block, place = divmod(start, self._block)
            until = min(self._block, place + stop - start)
            sources, ranks = self._slots(block)
            parts.append(self._rows(block, sources[place:until], ranks[place:until]))
            start += until - place
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _rows(
        self, block: int, sources: np.ndarray, ranks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.empty(len(sources), dtype=np.int64)
        for s in np.unique(sources).tolist():
            mine = sources == s
            turns, places = np.divmod(block * self._counts[s] + ranks[mine], self._sizes[s])
            found = np.empty(len(places), dtype=np.int64)
            for turn in np.unique(turns).tolist():
                found[turns == turn] = self._walk(s, turn)[places[turns == turn]]
            rows[mine] = found
        return sources, rows

    def _slots_of(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The source of each slot of a block, and how many slots of it came before it there."""
        sources = np.repeat(np.arange(len(self._counts), dtype=np.int32), self._counts)
        if len(self._counts) > 1:
            sources = sources[order(f"{self._key}/slots/{block}", self._block)]
        ranks = np.empty(self._block, dtype=np.int64)
        for s, count in enumerate(self._counts):
            ranks[sources == s] = np.arange(count)
        return sources, ranks

    def _order_of(self, source: int, turn: int) -> np.ndarray:
        return order(f"{self._key}/{self._names[source]}/{turn}", self._sizes[source])

    def _window_of(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Groups the slots of one pass into batches; see `_grouping`."""
        size = self.batches * self._batch_size
        sources, rows = self._take(window * size, (window + 1) * size)
        lengths = np.empty(size, dtype=np.int64)
        pictured = np.empty(size, dtype=bool)
        for slot, (s, row) in enumerate(zip(sources.tolist(), rows.tolist(), strict=True)):
            source = self._mix.sources[self._chosen[s]]
            lengths[slot], pictured[slot] = source.length(row), source.has_image(row)
        key = f"{self._key}/batches/{window}"
        taken = _grouping(lengths, pictured, self.rows, self._batch_size, key)
        return sources[taken], rows[taken]


def _grouping(
    lengths: np.ndarray, pictured: np.ndarray, rows: int, batch: int, key: str
) -> np.ndarray:
    """Orders slots so that each run of `batch` is of one modality and of similar length.

    The first `rows` slots are one pass. What their modalities leave over of whole batches comes
    last, with the slots beyond them, so that no slot is dropped and the pass stays whole.

    Unlike LLaVA's `get_modality_length_grouped_indices` it takes one modality alone, drops no rest
    and does not depend on the number of processes.
    """
    whole: list[np.ndarray] = []
    left: list[np.ndarray] = []
    for modality in (True, False):
        slots = np.flatnonzero(pictured[:rows] == modality)
        for mega in np.split(slots, range(MEGA_BATCHES * batch, len(slots), MEGA_BATCHES * batch)):
            ranked = mega[np.argsort(-lengths[mega], kind="stable")]
            full = len(ranked) // batch * batch
            whole += list(ranked[:full].reshape(-1, batch))
            left.append(ranked[full:])
    shuffled = [whole[i] for i in order(key, len(whole)).tolist()]
    beyond = np.arange(rows, len(lengths))
    return np.concatenate([*shuffled, *left, beyond]).astype(np.int64)


def _apportion(weights: Sequence[float], rows: int) -> list[int]:
    """Shares out a block's slots by weight, each source at least one, by largest remainder."""
    shares = np.array(weights) / sum(weights)
    exact = shares * rows
    size = rows
    if np.abs(exact - exact.round()).max() > 1e-6:
        size = rows * -(-_LEAST_BLOCK // rows)
        exact = shares * size
    counts = np.floor(exact + 1e-6).astype(np.int64)
    for s in np.argsort(counts - exact, kind="stable")[: size - int(counts.sum())].tolist():
        counts[s] += 1
    return np.maximum(counts, 1).tolist()
