"""The command `compare`: two runs sample by sample, or figures over several runs."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.errors import EXIT_OK, DataError, UserError

if TYPE_CHECKING:
    from collavo.results.comparison import Comparison
    from collavo.results.stored_runs import StoredRun

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", type=Path,
        help="two runs, the second against the first: a run folder, a folder of run folders, "
        "predictions.jsonl, or a file of `score --output`; with --correlate one of each model",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object and no tables")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write the JSON, every flip in it"
    )
    parser.add_argument(
        "--flips", metavar="N", type=int, default=5,
        help="how many fixed and how many broken samples to show (default 5)",
    )  # fmt: skip
    parser.add_argument(
        "--partial", action="store_true", help="compare what both have where one has more samples"
    )
    parser.add_argument(
        "--miniature", action="store_true",
        help="the runs are on the built-in miniature (runs with results.json say so themselves)",
    )  # fmt: skip
    parser.add_argument(
        "--correlate", nargs="*", metavar="DATASET",
        help="correlate the figures of these datasets (default: the probes) with all others",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Compares, prints tables or JSON, and writes --output."""
    if args.flips < 0:
        raise UserError(f"--flips {args.flips} must not be negative")
    if args.correlate is not None:
        return _correlate(args)
    if len(args.runs) != 2:
        raise UserError(
            f"compare takes two runs, got {len(args.runs)}; several go with --correlate"
        )
    from collavo.config import get_cfg
    from collavo.results.compare import compare_runs, corrected
    from collavo.results.files import plain
    from collavo.results.rescored import dataset_at_hand
    from collavo.results.stored_runs import read_runs

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    first, second = (read_runs(path) for path in args.runs)
    at_hand = partial(dataset_at_hand, cfg, miniature=args.miniature)
    comparisons = corrected(
        [
            compare_runs(a, b, at_hand(a), cfg.EVAL.BOOTSTRAP, args.partial)
            for a, b in _pairs(first, second, args.runs)
        ]
    )
    whole = {"first": str(args.runs[0]), "second": str(args.runs[1])}
    if args.output:
        _write(args.output, whole | {"datasets": [x.as_dict() for x in comparisons]})
    if args.json:
        shown = whole | {"datasets": [x.as_dict(args.flips) for x in comparisons]}
        print(json.dumps(plain(shown), ensure_ascii=False))
    else:
        _print(comparisons, args)
    return EXIT_OK


def _pairs(
    first: dict[str, StoredRun], second: dict[str, StoredRun], paths: Sequence[Path]
) -> list[tuple[StoredRun, StoredRun]]:
    common = [name for name in first if name in second]
    if not common:
        raise DataError(
            f"{paths[0]} is on {', '.join(first)}, {paths[1]} on {', '.join(second)}: "
            "runs are compared on one dataset"
        )
    for here, there, path in ((first, second, paths[0]), (second, first, paths[1])):
        alone = [name for name in here if name not in there]
        if alone:
            logger.warning("only %s has runs on %s: left out", path, ", ".join(alone))
    return [(first[name], second[name]) for name in common]


def _print(comparisons: Sequence[Comparison], args: argparse.Namespace) -> None:
    from collavo.results.comparison_tables import print_comparison
    from collavo.terminal import console as stdout

    console = stdout()
    for comparison in comparisons:
        print_comparison(comparison, console, args.flips)
    if args.output:
        console.print(f"every flip: {args.output}")


def _correlate(args: argparse.Namespace) -> int:
    from collavo.datasets.registration.names import dataset_names
    from collavo.results.comparison_tables import print_correlations
    from collavo.results.correlation import correlate
    from collavo.results.files import plain
    from collavo.results.stored_runs import read_figures

    found = correlate([read_figures(path) for path in args.runs], dataset_names(args.correlate))
    data = {
        "runs": [str(path) for path in args.runs],
        "correlations": [asdict(x) for x in found],
    }
    if args.output:
        _write(args.output, data)
    if args.json:
        print(json.dumps(plain(data)))
    else:
        print_correlations(found)
    return EXIT_OK


def _write(path: Path, data: dict[str, Any]) -> None:
    from collavo.results.files import plain, write_text

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(plain(data), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"cannot write --output {path}: {error}; choose another file") from error
