"""Both ways over the same questions, block by block and in turns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.throughput.exact import exact_answer
from benchmarks.throughput.measure import load_average, matmul_peak
from benchmarks.throughput.original_run import OriginalRunner
from benchmarks.throughput.ours_run import OursRunner
from benchmarks.throughput.plugin import LOADS

logger = logging.getLogger(__name__)

IMAGES_A_BLOCK = {"pope": 2, "gqa": 2, "mme": 10}
"""A block is what the two ways take in turns; the state is saved after each."""


def measure(
    folder: Path,
    work: Path,
    rank: int,
    loads: Sequence[str],
    blocks: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Measures every block that `blocks` does not hold yet.

    Args:
        folder: The model's folder.
        work: Where run folders go.
        rank: PLoRA's rank, for the blocks' names.
        loads: Which loads.
        blocks: Filled with one record a block.
        save: Called after each block.
    """
    ours = OursRunner(folder, work / "runs")
    original: OriginalRunner | None = None
    try:
        for load in loads:
            task = ours.task(load)
            size = LOADS[load] * IMAGES_A_BLOCK[load]
            for begin in range(0, len(task.samples), size):
                name = f"r{rank}/{load}/{begin}"
                if name in blocks:
                    continue
                samples = task.samples[begin : begin + size]
                if original is None:
                    original = OriginalRunner(folder)
                    ours.run(ours.task(load, [s.sample_id for s in samples]))  # warms up
                blocks[name] = _block(ours, original, load, samples)
                save()
                _decide(blocks[name], folder, work, load)
                save()
    finally:
        ours.close()


def _decide(block: dict[str, Any], folder: Path, work: Path, load: str) -> None:
    """Notes which of two different answers float64 gives: near-ties go either way in float32."""
    for found in block["different"]:
        exact = exact_answer(folder, work, load, found["sample"])
        found["float64"] = exact
        sides = {"original": found["original"], "ours": found["ours"][0]}
        found["decided"] = next((n for n, row in sides.items() if row == exact), "neither")


def _block(
    ours: OursRunner, original: OriginalRunner, load: str, samples: Sequence[Any]
) -> dict[str, Any]:
    """The toolkit before and after the original, so that a busy machine hits both alike."""
    task = ours.task(load, [s.sample_id for s in samples])
    loaded = load_average()
    peak = matmul_peak()
    first = ours.run(task)
    beams, new = task.cfg.GENERATION.NUM_BEAMS, task.cfg.GENERATION.MAX_NEW_TOKENS
    theirs = original.run(samples, task.pipeline, beams, new)
    second = ours.run(task)
    different = [
        {"sample": key, "original": row, "ours": [first.answers.get(key), second.answers.get(key)]}
        for key, row in theirs.answers.items()
        if first.answers.get(key) != row
        or second.answers.get(key) != row
        or first.texts[key] != theirs.texts[key]
    ]
    return {
        "load": load,
        "questions": len(samples),
        "images": len({s.images[0] for s in samples}),
        "load_average": [loaded, load_average()],
        "matmul_peak": [peak, matmul_peak()],
        "original": theirs.record(),
        "ours": [first.record(), second.record()],
        "different": different,
        "merged": ours.merged(task),
    }
