"""How much goes into a batch: tokens, images and rows, from memory, and less after running out."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import ImageContext

T = TypeVar("T")

PREFILL_TOKENS = {"cpu": 4096, "cuda": 16384}
"""Prefix tokens that are prefilled together; more are not faster."""

ROW_TOKENS = {"cpu": 16384, "cuda": 131072}
"""Tokens (beams x suffix and answer) that a decoding batch holds; more are not faster."""

MOST_IMAGES = 16
MEMORY_SHARE = 0.3
"""Of the free memory that prefixes, and again that rows, may take."""


@dataclass
class Limits:
    """The sizes of batches; they only fall during a run.

    Args:
        images: Images that are encoded together.
        row_tokens: Tokens that the rows of a decoding batch hold.
        rows: Questions in a decoding batch, 0 for as many as `row_tokens` allows.
    """

    images: int
    row_tokens: int
    rows: int = 0

    @classmethod
    def guess(cls, device: str, prefix_tokens: int, budget: int = 0, rows: int = 0) -> Limits:
        """Sets out before anything is measured.

        Args:
            device: The torch device string.
            prefix_tokens: Expected positions of an image's prefix.
            budget: EVAL.TOKEN_BUDGET; 0 takes what suits the device.
            rows: Questions in a decoding batch, 0 for no limit of its own.
        """
        kind = device.split(":")[0]
        prefill = budget or PREFILL_TOKENS.get(kind, 4096)
        images = max(1, min(MOST_IMAGES, prefill // max(1, prefix_tokens)))
        return cls(images, budget or ROW_TOKENS.get(kind, 16384), rows)

    def learn(self, contexts: Sequence[ImageContext], device: str) -> None:
        """Lowers the limits to what the memory holds, from the first contexts that were made."""
        biggest = max((c.nbytes for c in contexts), default=0)
        tokens = max((c.num_tokens for c in contexts), default=0)
        if biggest <= 0 or tokens <= 0:
            return
        free = free_memory(device) * MEMORY_SHARE
        self.images = max(1, min(self.images, int(free // biggest)))
        self.row_tokens = max(1, min(self.row_tokens, int(free // (biggest / tokens))))

    def cut(self, weights: Sequence[int], most: int = 0) -> list[range]:
        """Cuts rows into batches of neighbours.

        Args:
            weights: Tokens that each row takes; a batch counts each of its rows as its heaviest.
            most: Rows of a batch at most, 0 for no such limit.
        """
        most = most or self.rows
        batches, start, heaviest = [], 0, 0
        for row, weight in enumerate(weights):
            heaviest = max(heaviest, weight)
            count = row - start + 1
            if count > 1 and (heaviest * count > self.row_tokens or (most and count > most)):
                batches.append(range(start, row))
                start, heaviest = row, weight
        if len(weights) > start:
            batches.append(range(start, len(weights)))
        return batches


def halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Cuts a sequence in two, the first half being the larger one."""
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether an exception means that memory ran out, on the GPU or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )


def is_fatal(error: BaseException) -> bool:
    """Says whether the process can compute nothing more after it (a broken CUDA context)."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "CUDA error" in text or "CUBLAS_STATUS" in text or "device-side assert" in text
    )


def free_cached_memory(device: str) -> None:
    """Gives back what the failed batch held."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def free_memory(device: str) -> float:
    """Free memory of the device in bytes; without a way to ask, 4e9."""
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return 4e9
