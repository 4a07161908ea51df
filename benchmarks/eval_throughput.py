"""Measures the evaluation against the original's algorithm.

Three loads, shaped as POPE (18 questions an image), GQA (31) and MME (2), go both ways in one run,
in turns, with the same weights, threads, beams and stop rule; every answer is compared token by
token. The result is a table, a JSON file and a Markdown page. A stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

MODES = ("table", "bf16", "profile", "processes", "memory")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("modes", nargs="*", default=["table"], help=f"of {', '.join(MODES)}")
    parser.add_argument(
        "--questions", type=int, default=20, help="of each load, rounded up to whole images"
    )
    parser.add_argument("--loads", default="pope,gqa,mme", help="between commas")
    parser.add_argument("--ranks", default="256", help="PLoRA ranks, between commas")
    parser.add_argument("--small", action="store_true", help="a model that only shows that it runs")
    parser.add_argument("--work", type=Path, help="folder of model, data and state")
    parser.add_argument("--state", type=Path, help="JSON of the blocks that are done")
    parser.add_argument("--page", type=Path, help="Markdown page to write, such as docs/speed.md")
    parser.add_argument("--many", type=int, default=10_000, help="questions of the memory test")
    args = parser.parse_args(argv)
    for mode in args.modes:
        if mode not in MODES:
            parser.error(f"{mode!r} is no mode; there are {', '.join(MODES)}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Measures what is asked for and prints it."""
    args = parse(argv)
    import torch

    from benchmarks.throughput.data import build as build_data
    from benchmarks.throughput.plugin import FOLDER, LOADS
    from collavo.config.paths import cache_dir

    work = (args.work or cache_dir() / "throughput").resolve()
    loads = args.loads.split(",")
    for load in loads:
        if load not in LOADS:
            raise SystemExit(f"{load!r} is no load; there are {', '.join(LOADS)}")
    data = work / f"data-{args.questions}"
    build_data(data, {load: args.questions for load in LOADS})
    os.environ[FOLDER] = str(data)
    name = f"state-{args.questions}-{torch.get_num_threads()}t.json"  # threads are not mixed
    state_file = args.state or work / name
    state: dict[str, Any] = {}
    if state_file.is_file():
        state = json.loads(state_file.read_text(encoding="utf-8"))
    state.setdefault("blocks", {})

    def save() -> None:
        state_file.parent.mkdir(parents=True, exist_ok=True)
        new = state_file.with_suffix(".new")
        new.write_text(json.dumps(state, indent=1), encoding="utf-8")
        new.replace(state_file)

    for rank in map(int, args.ranks.split(",")):
        _measure(args, work, rank, loads, state, save)
    from benchmarks.throughput.report import machine, markdown

    state["machine"] = machine()
    save()
    text = markdown(state)
    print(text)
    if args.page:
        args.page.write_text(text, encoding="utf-8")
    return 0


def _measure(
    args: argparse.Namespace,
    work: Path,
    rank: int,
    loads: list[str],
    state: dict[str, Any],
    save: Callable[[], None],
) -> None:
    from benchmarks.throughput import extra, table
    from benchmarks.throughput.model import build as build_model

    folder = build_model(work, rank, small=args.small)
    if "table" in args.modes:
        table.measure(folder, work, rank, loads, state["blocks"], save)
    if "bf16" in args.modes:
        state["bf16"] = extra.bf16(folder, work, loads)
    if "profile" in args.modes:
        state["profile"] = extra.profile(folder, work)
    if "processes" in args.modes:
        state["processes"] = extra.processes(folder, work)
    if "memory" in args.modes:
        state["memory"] = extra.memory(work, args.many)
    save()


if __name__ == "__main__":
    raise SystemExit(main())
