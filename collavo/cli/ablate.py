"""`lbk_entry.py ablate`: trains and evaluates the arms of a plan and sets them side by side."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from collavo.errors import EXIT_INTERRUPTED, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "--plan", required=True, metavar="YAML",
        help="the plan, such as configs/tiny/ablation.yaml; its form: docs/ablations.md",
    )  # fmt: skip
    parser.add_argument("--arms", default="", metavar="A,B", help="only these arms")
    parser.add_argument(
        "--seeds", default="", metavar="N", help="how many seeds, or which (0,4); else the plan's"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="commands that run at a time (default 1)"
    )
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="also write the Markdown here, JSON beside it"
    )
    parser.add_argument(
        "--report", action="store_true", help="run nothing; report what is finished"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start these arms and seeds anew; drop what is there"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from collavo.engine.ablation.jobs import Given
    from collavo.engine.ablation.reading import read_plan, read_seeds
    from collavo.engine.ablation.run import Options, run_ablation

    if args.jobs < 1:
        raise UserError(f"--jobs {args.jobs} must be at least 1")
    if args.report and args.fresh:
        raise UserError("--report runs nothing and --fresh starts anew: leave one of them out")
    if args.to is not None and args.to.suffix == ".json":
        raise UserError(f"--to {args.to} names the Markdown file; the JSON is written beside it")
    plan = read_plan(args.plan)
    options = Options(
        arms=args.arms,
        seeds=read_seeds("--seeds", args.seeds) if args.seeds else (),
        at_once=args.jobs,
        fresh=args.fresh,
        report_only=args.report,
        target=args.to,
        command=_command(args),
    )
    given = Given.read(args.conf_files, args.overrides, args.config_overrides, args.user_dir)
    try:
        return run_ablation(plan, given, options)
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, run it again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED


def _command(args: argparse.Namespace) -> str:
    """The command that makes the same figures; where they are kept and written does not matter."""
    words = ["python", "lbk_entry.py", "ablate", "--plan", str(args.plan)]
    for option, value in (("--arms", args.arms), ("--seeds", args.seeds)):
        words += [option, value] if value else []
    words += ["--to", str(args.to)] if args.to is not None else []
    words += ["--user_dir", args.user_dir] if args.user_dir else []
    for option in ("conf_files", "config_overrides", "overrides"):
        words += [f"--{option}", *getattr(args, option)] if getattr(args, option) else []
    return shlex.join(words)
