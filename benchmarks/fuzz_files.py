"""Breaks the files that the toolkit keeps and loads, byte by byte, and looks how they are read.

    python benchmarks/fuzz_files.py --count 2000

Checkpoints' config.json, weight index and preprocessor_config.json, judgements.jsonl, configuration
files and --overrides. A round must end with a result or with one line that says what is wrong; any
other exception is a fault, as is a round of more than half a minute. The last line is JSON. (Run
folders are broken in tests/engine/test_broken_folder.py, dataset files by fuzz_datasets.py.)
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
    parser.add_argument("--count", type=int, default=2_000, help="rounds")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    from benchmarks.fuzz.files import make_files, run

    logging.disable(logging.CRITICAL)  # what is said of a broken file is no fault
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(make_files(Path(folder)), args.count, args.seed)
    for fault in tally.faults[:10]:
        say(fault)
    for kind, count in sorted(tally.kinds.items()):
        say(f"{count:6} {kind}")
    result = {
        "rounds": args.count,
        "read": tally.read,
        "refused": tally.refused,
        "faults": len(tally.faults),
        "seconds": round(time.monotonic() - start, 1),
    }
    say(json.dumps(result))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
