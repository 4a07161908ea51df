"""Breaks the small dataset files at random, byte by byte, and looks how they are read.

    python benchmarks/fuzz_datasets.py --count 10000
    python benchmarks/fuzz_datasets.py --count 2000 --only seed,mmbench --keep broken/

One process, without torch. Each round breaks one file of one dataset (the built-in miniature's, the
same in Hugging Face's parquet and in VLMEvalKit's table, lists and tables named by their path) or
one file of answers, then reads it, words every prompt, scores answers of odd shapes and writes the
submission; every third round runs the commands `check` and `score` instead. A round must end with
a result or with an error that says what is wrong; any other exception is a fault, as is a round of
more than half a minute. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(say: Callable[[str], None] = print) -> int:
    """Runs the rounds; 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="datasets, between commas; tsv, jsonl, json too")
    parser.add_argument("--root", type=Path, action="append", default=[], help="a further root")
    parser.add_argument("--keep", type=Path, help="keep files that led to a fault here")
    args = parser.parse_args()
    from benchmarks.fuzz.rounds import run
    from benchmarks.fuzz.targets import make_targets
    from collavo.datasets.registration.layouts import use_layout

    use_layout("auto")
    logging.disable(logging.CRITICAL)  # what is said of a broken file is no fault
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        only = [name for name in args.only.split(",") if name]
        targets = make_targets(Path(folder) / "data", only, args.root)
        tally = run(targets, args.count, args.seed, Path(folder), args.keep)
    for fault in tally.faults[:10]:
        say(fault)
    result = {
        "rounds": args.count,
        "targets": len(targets),
        "read": tally.read,
        "refused": tally.refused,
        "faults": len(tally.faults),
        "slowest_seconds": tally.slowest[0],
        "slowest": tally.slowest[1],
        "seconds": round(time.monotonic() - start, 1),
        "torch": "torch" in sys.modules,
    }
    for kind, count in sorted(tally.kinds.items()):
        say(f"{count:6} {kind}")
    say(json.dumps(result))
    return 1 if tally.faults or result["torch"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
