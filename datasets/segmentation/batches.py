"""Batches of panoptic examples: a pure function of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from collavo.datasets.segmentation.example import PanopticExample, PanopticSource

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8


@dataclass(frozen=True)
class PanopticBatch:
    """A micro-batch.

    Args:
        images: uint8 RGB (B, 3, S, S).
        masks: Which share of each cell of the mask grid a segment has, (B, K, S/4, S/4) in [0, 1].
        labels: The segments' classes (B, K), -1 where an image has fewer.
        order: For each image a permutation of numbers (B, P), drawn for the step.
        names: Of the images.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    masks: Float[Tensor, "batch segments h w"]
    labels: Int[Tensor, "batch segments"]
    order: Int[Tensor, "batch queries"]
    names: tuple[str, ...]


class PanopticPlan:
    """Walks sources in shuffled epochs; nothing is left out or repeated within one.

    Every image is mirrored with probability 1/2. What a step sees depends on its number and on the
    arguments alone, not on processes or on where training was resumed.

    Args:
        sources: The data; taken together.
        batch_size: Images a step.
        queries: Length of `PanopticBatch.order`.
        seed: Of order and mirroring.
    """

    def __init__(
        self, sources: Sequence[PanopticSource], batch_size: int, queries: int, seed: int
    ) -> None:
        self._sources, self._batch, self._queries = sources, batch_size, queries
        self._seed = seed
        self._ends = np.cumsum([len(source) for source in sources])
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every image was seen once."""
        return -(-int(self._ends[-1]) // self._batch)

    def rows(self, step: int) -> list[int]:
        """The numbers of the step's images, over all sources."""
        total = int(self._ends[-1])
        places = range(step * self._batch, (step + 1) * self._batch)
        return [int(self._order(place // total)[place % total]) for place in places]

    def batch(self, step: int, share: slice) -> PanopticBatch:
        """Reads a share of a step's images.

        Args:
            step: From 0.
            share: Which of the step's images.
        """
        draw = np.random.default_rng((self._seed, 1, step))
        mirrored = draw.random(self._batch) < 0.5
        order = np.stack([draw.permutation(self._queries) for _ in range(self._batch)])
        rows = self.rows(step)[share]
        examples = [self._example(row) for row in rows]
        flip = torch.from_numpy(mirrored[share])
        images = torch.from_numpy(np.stack([example.image for example in examples]))
        masks, labels = mask_targets(examples)
        return PanopticBatch(
            torch.where(flip[:, None, None, None], images.flip(-1), images),
            torch.where(flip[:, None, None, None], masks.flip(-1), masks),
            labels,
            torch.from_numpy(order[share]),
            tuple(self._name(row) for row in rows),
        )

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, 0, epoch)).permutation(int(self._ends[-1]))

    def _place(self, row: int) -> tuple[PanopticSource, int]:
        source = int(np.searchsorted(self._ends, row, side="right"))
        return self._sources[source], row - int(self._ends[source - 1] if source else 0)

    def _example(self, row: int) -> PanopticExample:
        source, inner = self._place(row)
        return source[inner]

    def _name(self, row: int) -> str:
        source, inner = self._place(row)
        return source.name(inner)


def mask_targets(
    examples: Sequence[PanopticExample],
) -> tuple[Float[Tensor, "batch segments h w"], Int[Tensor, "batch segments"]]:
    """Makes soft masks at half the maps' resolution, and labels; -1 for segments that show nowhere.

    A cell of a mask is the share of the 2 x 2 pixels below it that belong to the segment.
    """
    maps = torch.from_numpy(np.stack([example.panoptic for example in examples]))
    most = max(1, *(len(example.labels) for example in examples))
    numbers = torch.arange(1, most + 1).view(1, -1, 1, 1)
    masks = torch.nn.functional.avg_pool2d((maps[:, None] == numbers).float(), 2)
    labels = torch.full((len(examples), most), -1)
    for row, example in enumerate(examples):
        labels[row, : len(example.labels)] = torch.tensor(example.labels, dtype=torch.int64)
    return masks, torch.where(masks.flatten(2).sum(-1) > 0, labels, -1)
