"""Measures how a LLaVA JSON of 665,298 rows is opened: by json.load, and by our index.

The file is made up, in the sizes of LLaVA-1.5's 665k. Each way runs in a process of its own and
reads the same random rows, whose contents are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

ROWS = 665_298
"""Rows of llava_v1_5_mix665k.json; one in 16 has no image, as there."""

WORDS = (
    "the a dog horse person red blue small large left right on under with of is are stands runs "
    "near table grass street wall two three image picture looks holding while behind front color"
).split()


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Writes the file: some 1.5 KB a row, seven turns on average, a little beyond ASCII."""
    dice = random.Random(seed)
    pool = [json.dumps(" ".join(dice.choices(WORDS, k=dice.randint(4, 60)))) for _ in range(5000)]
    pool += ['"caf\\u00e9 \\u72d7"', '"café 狗 in the picture"', '"line\\nand \\"mark\\""']
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            pairs = dice.choice((1, 1, 2, 3, 4, 5, 8))
            pictured = number % 16 != 0
            turns = []
            for pair in range(pairs):
                asked = dice.choice(pool)
                if pair == 0 and pictured:
                    asked = '"<image>\\n' + asked[1:]
                turns.append(f'{{"from": "human", "value": {asked}}}')
                turns.append(f'{{"from": "gpt", "value": {dice.choice(pool)}}}')
            image = f'"image": "coco/train2017/{number:012d}.jpg", ' if pictured else ""
            file.write("[" if number == 0 else ", ")
            file.write(f'{{"id": "{number // 2:012d}", {image}"conversations": [')
            file.write(", ".join(turns) + "]}")
        file.write("]")


def by_json_load(path: Path) -> tuple[int, Callable[[int], Any]]:
    """Opens the file as LLaVA does."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    from collavo.datasets.instruction.rows import read_row

    def turns(number: int) -> Any:
        content = read_row(rows[number], path.parent)
        return [list(content.images), [[turn.role, turn.text] for turn in content.turns]]

    return len(rows), turns


def by_index(path: Path) -> tuple[int, Callable[[int], Any]]:
    """Opens the file as we do, with every row checked."""
    from collavo.datasets.instruction.llava import LlavaSource
    from collavo.datasets.instruction.source import parse_source

    source = LlavaSource(parse_source(f"llava:{path}"))

    def turns(number: int) -> Any:
        one = source[number]
        images = [str(ref.path.relative_to(path.parent)) for ref in one.images if ref.path]
        return [images, [[turn.role, turn.text] for turn in one.turns]]

    return len(source), turns


WAYS = {"json.load": by_json_load, "index, first time": by_index, "index, kept": by_index}


def measure(way: str, path: Path, checked: int) -> dict[str, Any]:
    """Opens the file in this process; seconds, MB at the peak, and a hash of random rows."""
    begin = time.perf_counter()
    busy = time.process_time()
    count, turns = WAYS[way](path)
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = hashlib.sha256()
    begin = time.perf_counter()
    for number in random.Random(1).sample(range(count), min(checked, count)):
        whole.update(json.dumps([number, turns(number)]).encode())
    each = (time.perf_counter() - begin) / max(1, min(checked, count))
    return {
        "rows": count,
        "seconds": seconds,
        "busy": busy,
        "megabytes": peak,
        "microseconds": each * 1e6,
        "digest": whole.hexdigest(),
    }


def in_a_process(way: str, path: Path, checked: int, cache: Path) -> dict[str, Any]:
    """Runs `measure` in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--file", str(path)]
    done = subprocess.run(
        [*command, "--checked", str(checked)],
        env={**os.environ, "COLLAVO_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measures all ways and prints a table; 1 where their rows differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--checked", type=int, default=2000, help="random rows that are compared")
    parser.add_argument("--file", type=Path, help="an existing file to open instead")
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process")
    args = parser.parse_args(argv)
    if args.way:
        print(json.dumps(measure(args.way, args.file, args.checked)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = args.file
        if path is None:
            path = Path(folder) / "llava.json"
            write(path, args.rows)
        found = {way: in_a_process(way, path, args.checked, Path(folder) / "cache") for way in WAYS}
        size = path.stat().st_size / 1e6
    rows = next(iter(found.values()))["rows"]
    print(f"{rows:,} rows, {size:,.0f} MB\n")
    print("| way | seconds | of them computing | peak MB | a random row, µs |")
    print("|---|---|---|---|---|")
    for way, one in found.items():
        print(
            f"| {way} | {one['seconds']:.1f} | {one['busy']:.1f} | {one['megabytes']:,.0f} | "
            f"{one['microseconds']:.0f} |"
        )
    same = len({(one["rows"], one["digest"]) for one in found.values()}) == 1
    compared = min(args.checked, rows)
    print(f"\n{compared} random rows are {'the same in all ways' if same else 'DIFFERENT'}")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
