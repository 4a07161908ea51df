"""`lbk_entry.py eval`: evaluates a model on datasets, and resumes where it stopped."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from collavo.cli.exit_code import leave_exit_code, speaks_here, tell_error
from collavo.config import get_cfg
from collavo.engine.board import EngineError
from collavo.errors import EXIT_CRASH, EXIT_INTERRUPTED, EXIT_USAGE, UserError
from collavo.registry import UnknownNameError
from collavo.terminal import say

_OPTIONS = {
    "limit": "EVAL.LIMIT",
    "samples": "EVAL.SAMPLES",
    "verify": "EVAL.VERIFY",
    "allow_failures": "EVAL.ALLOW_FAILURES",
    "fresh": "EVAL.FRESH",
    "dry_run": "EVAL.DRY_RUN",
}
"""Options that are short for a configuration key."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "--limit", type=int, metavar="N", help="only the first N samples; flagged as a subset"
    )
    parser.add_argument(
        "--samples", metavar="IDS", help="only these sample ids: a,b or @file with one a line"
    )
    parser.add_argument(
        "--fresh", action="store_true", default=None, help="start anew; drop stored answers"
    )
    parser.add_argument(
        "--verify", type=int, metavar="N", help="answer N random samples again, nothing shared"
    )
    parser.add_argument(
        "--allow-failures", type=int, metavar="N", help="accept up to N failed samples"
    )
    parser.add_argument(
        "--dry-run", action="store_true", default=None, help="say what a run would take, and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code.

    The code is left for the launcher's caller too. A process that is killed leaves none.
    """
    from collavo.engine.accelerator import Terminated, launched
    from collavo.engine.store import StoreError
    from collavo.lifetime import end_with_parent

    if launched():
        end_with_parent()
    try:
        code = _run(args)
    except (UserError, UnknownNameError) as error:
        tell_error(error, at_once=isinstance(error, StoreError))
        code = getattr(error, "exit_code", EXIT_USAGE)
    except KeyboardInterrupt as stop:
        if speaks_here():
            say("interrupted; what is finished is kept, run it again to go on", sys.stderr)
        code = EXIT_INTERRUPTED
        if isinstance(stop, Terminated) and launched():
            return code  # perhaps because another process died: that is no verdict of ours
    except EngineError as error:
        say(f"error: {error}", sys.stderr)
        code = EXIT_CRASH
    leave_exit_code(code)
    return code


def _run(args: argparse.Namespace) -> int:
    extra: list[Any] = list(args.overrides or [])
    if args.user_dir:
        extra += ["USER_DIR", args.user_dir]
    for option, key in _OPTIONS.items():
        value = getattr(args, option)
        if value is not None:
            extra += [key, str(value)]

    def make_cfg(benchmark: str | None) -> Any:
        return get_cfg(args.conf_files or (), extra, args.config_overrides, benchmark)

    from collavo.engine.run import run_eval

    return run_eval(make_cfg)
