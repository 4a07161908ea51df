"""Whether two checkouts answer alike: every miniature, byte for byte, in this one and in another.

    python benchmarks/same_answers.py OTHER_CHECKOUT [--datasets pope_test,mme] [--processes 2]

Both run the built-in model from their own code. Lines of predictions.jsonl are compared as bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def main() -> int:
    """Compares, prints one JSON line for each dataset, and returns 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("--datasets", default="all")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--limit", type=int, default=0, help="questions of each dataset; 0: all")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_args()
    differ = 0
    with tempfile.TemporaryDirectory() as work:
        found = []
        for number, checkout in enumerate((args.other.resolve(), HERE)):
            found.append(_answers(checkout, Path(work) / str(number), args))
        for name in sorted(found[0] | found[1]):
            before, now = (answers.get(name) for answers in found)
            same = before == now
            differ += not same
            print(json.dumps({"dataset": name, "lines": len(now or ()), "equal": same}))
    print(json.dumps({"datasets": len(found[1]), "different": differ}))
    return bool(differ)


def _answers(checkout: Path, folder: Path, args: argparse.Namespace) -> dict[str, list[bytes]]:
    """The lines of predictions.jsonl by dataset, as a checkout makes them."""
    launch = [sys.executable]
    if args.processes > 1:
        accel = checkout / "configs" / "accel" / "multi_cpu.yaml"
        launch += ["-m", "accelerate.commands.launch", "--config_file", str(accel)]
        launch += [f"--num_processes={args.processes}", "--main_process_port=0"]
    keys = [f"DATASETS.TEST={args.datasets}", f"SAVE_DIR={folder}", "VIS.SAMPLES=0"]
    keys += ["EVAL.BOOTSTRAP=0", *args.overrides]
    limit = ["--limit", str(args.limit)] if args.limit else []
    subprocess.run(
        [*launch, str(checkout / "lbk_entry.py"), "eval", *limit, "--overrides", *keys],
        cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return {
        path.parent.parent.name: path.read_bytes().splitlines()
        for path in folder.glob("*/*/predictions.jsonl")
    }


if __name__ == "__main__":
    sys.exit(main())
