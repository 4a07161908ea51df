"""Brings full-size panoptic maps to the patch grid, by majority in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from collavo.records import Segment, Segments

RULE_VERSION = 1
"""Counts changes of the rule; part of the fingerprint of segmenters that use it."""


def to_grid(panoptic: np.ndarray, segments: Sequence[Segment], grid: tuple[int, int]) -> Segments:
    """Gives each cell to the id that holds most of its pixels, as if the image were a square.

    A pixel belongs to the cell that its centre lies in. Pixels of no segment vote for "none"; on a
    tie the earlier segment wins, "none" last. Segments that win no cell fall out, and the others
    are numbered 1, 2, ... in the given order.

    Args:
        panoptic: (H, W) integers; the ids of `segments`, anything else is no segment.
        segments: In the order that the result shall have.
        grid: Rows and columns (h, w).
    """
    panoptic = _at_least(panoptic, grid)
    height, width = panoptic.shape
    values = np.array([s.id for s in segments] or [0], dtype=np.int64)
    order = np.argsort(values, kind="stable")
    place = np.searchsorted(values[order], panoptic).clip(max=len(values) - 1)
    found = order[place]
    count = len(segments)
    rank = np.where((values[found] == panoptic) & (count > 0), found, count)
    cells = _cells(height, grid[0])[:, None] * grid[1] + _cells(width, grid[1])[None, :]
    votes = np.bincount(
        (cells * (count + 1) + rank).ravel(), minlength=grid[0] * grid[1] * (count + 1)
    ).reshape(*grid, count + 1)
    winner = votes.argmax(2)
    present = np.bincount(winner.ravel(), minlength=count + 1)[:count] > 0
    lookup = np.append(np.where(present, present.cumsum(), 0), 0).astype(np.int32)
    kept = tuple(
        replace(segment, id=int(number))
        for number, segment in zip(lookup, segments, strict=False)
        if number
    )
    return Segments(torch.from_numpy(lookup[winner]), kept)


def _cells(pixels: int, cells: int) -> np.ndarray:
    """The cell of each pixel's centre along one axis."""
    return (2 * np.arange(pixels) + 1) * cells // (2 * pixels)


def _at_least(panoptic: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Repeats pixels where there are fewer than cells, so that every cell has one."""
    for axis, cells in enumerate(grid):
        times = -(-cells // panoptic.shape[axis])
        if times > 1:
            panoptic = panoptic.repeat(times, axis)
    return panoptic
