"""Measures a Dual QLoRA training step against transformers + PEFT with one adapter.

Both train on the same frozen body with PLoRA, quantised alike, with ranks in proportion to 7B's
(PLoRA H/16, adapters H/64). PEFT's has one adapter and no crayon; ours computes two adapters,
trains them in turns, and trains the crayon's tables and projector through the crayon branch. They
go in turns in one process; times and peaks are given as ratios, and the losses are compared where
both compute the same. `--plan` lists the memory of a 7B step instead.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TIME_LIMIT, MEMORY_LIMIT = 1.15, 1.05
CARD = 24e9
"""Bytes that a 7B step may take."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--width", type=int, default=512, help="of the body; 4,096 at 7B")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--grid", type=int, default=35, help="side of the patch grid")
    parser.add_argument("--text", type=int, default=175, help="text tokens of a row")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--bits", default="4,16", help="between commas")
    parser.add_argument("--checkpointing", default="1,0", help="1, 0 or both, between commas")
    parser.add_argument("--dropout", type=float, default=0.05, help="on adapters and PLoRA")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each that are timed")
    parser.add_argument("--threads", type=int, default=0, help="torch's own choice if 0")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plan", action="store_true", help="the memory of a 7B step, computed")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measures and prints; 1 where a limit is not kept."""
    args = parse(argv)
    if args.plan:
        return plan()
    import torch

    from benchmarks.training.models import Shape

    if args.threads:
        torch.set_num_threads(args.threads)
    rows = []
    for bits in map(int, args.bits.split(",")):
        for checkpointing in map(int, args.checkpointing.split(",")):
            shape = Shape(
                args.width, args.layers, args.text, args.grid, args.batch,
                bits=bits, lora_dropout=args.dropout, plora_dropout=args.dropout,
            )  # fmt: skip
            rows.append(compare(shape, bool(checkpointing), args.rounds))
            print(line(rows[-1]), flush=True)
    figures = {
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    kept = all(r["time_ratio"] <= TIME_LIMIT and r["memory_ratio"] <= MEMORY_LIMIT for r in rows)
    print(f"limits: time {TIME_LIMIT}, memory {MEMORY_LIMIT}: {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


def compare(shape: Any, checkpointing: bool, rounds: int) -> dict[str, Any]:
    """Times both in turns, then counts their memory, then compares losses."""
    from benchmarks.training.models import DualStep, PlainStep, inputs_of

    steps = {"plain": PlainStep(shape, checkpointing), "dual": DualStep(shape, checkpointing)}
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):  # the first two warm up, one for each adapter
        inputs = inputs_of(shape, number)
        for name in sorted(steps, reverse=bool(number % 2)):
            start = time.perf_counter(), time.process_time()
            steps[name].run(inputs, number)
            if number > 1:
                wall[name].append(time.perf_counter() - start[0])
                cpu[name].append(time.process_time() - start[1])
    peaks = {name: step.peak(inputs_of(shape, 0)) for name, step in steps.items()}
    return {
        "bits": shape.bits,
        "checkpointing": checkpointing,
        "width": shape.width,
        "layers": shape.layers,
        "tokens": shape.length * shape.batch,
        "dropout": shape.lora_dropout,
        "plain_s": statistics.median(wall["plain"]),
        "dual_s": statistics.median(wall["dual"]),
        "time_ratio": statistics.median(cpu["dual"]) / statistics.median(cpu["plain"]),
        "wall_ratio": statistics.median(wall["dual"]) / statistics.median(wall["plain"]),
        "best_ratio": min(wall["dual"]) / min(wall["plain"]),
        "plain_peak": peaks["plain"],
        "dual_peak": peaks["dual"],
        "memory_ratio": peaks["dual"] / peaks["plain"],
        "loss_difference": loss_difference(shape, checkpointing),
    }


def loss_difference(shape: Any, checkpointing: bool, steps: int = 5) -> float:
    """The largest difference of losses where both compute the same.

    That is: no crayon and no dropout, `image` zero and idle, `vl` begun as PEFT's adapter.
    """
    from dataclasses import replace

    import torch

    from benchmarks.training.models import DualStep, PlainStep, inputs_of, without_crayon

    still = replace(shape, lora_dropout=0.0, plora_dropout=0.0)
    plain, dual = (kind(still, checkpointing, lr=0.02) for kind in (PlainStep, DualStep))
    without_crayon(dual)
    dual.kinds = ("vl", "vl")
    begun = {n: p for n, p in plain.llm.named_parameters() if ".vl." in n}
    with torch.no_grad():
        for name, parameter in dual.llm.named_parameters():
            if name in begun:
                parameter.copy_(begun[name])
    inputs = inputs_of(still, 0)
    losses = [(plain.run(inputs, n), dual.run(inputs, n)) for n in range(steps)]
    if losses[-1][0] > losses[0][0] - 0.01:
        raise SystemExit(f"the plain model does not learn ({losses}): nothing is compared")
    return max(abs(one - other) for one, other in losses)


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    return (
        f"NF4 {'yes' if row['bits'] == 4 else 'no '} checkpointing "
        f"{'yes' if row['checkpointing'] else 'no '} | H {row['width']} x {row['layers']} layers, "
        f"{row['tokens']} tokens | step {row['plain_s']:.3f} s -> {row['dual_s']:.3f} s | time "
        f"{row['time_ratio']:.3f}x (wall {row['wall_ratio']:.3f}x, best {row['best_ratio']:.3f}x)"
        f" | peak {row['plain_peak'] / 1e6:.1f} -> {row['dual_peak'] / 1e6:.1f} MB, "
        f"{row['memory_ratio']:.3f}x | losses differ by {row['loss_difference']:.1e}"
    )


def plan() -> int:
    """Prints the memory of a 7B step, and what one adapter alone would take."""
    from benchmarks.training.plan import step_plan

    found, single = step_plan(), step_plan(kinds=("vl",))
    print("7B, NF4, batch 1, 1,400 tokens, checkpointing: bytes of a step")
    for name, size in found.items.items():
        print(f"{name:<32} {size / 1e9:8.3f} GB")
    print(f"{'peak':<32} {found.total / 1e9:8.3f} GB; {single.total / 1e9:.3f} GB with one adapter")
    return 0 if found.total < CARD else 1


if __name__ == "__main__":
    raise SystemExit(main())
