"""`lbk_entry.py eval`: evaluates a model on datasets, and resumes where it stopped."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from collavo.config import get_cfg
from collavo.errors import EXIT_CRASH, EXIT_INTERRUPTED, EXIT_USAGE, UserError
from collavo.registry import UnknownNameError

logger = logging.getLogger(__name__)

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

    The code also goes to the file that COLLAVO_EXIT_CODE_FILE names, since a launcher turns every
    failure into 1. A process that is killed leaves none there.
    """
    from collavo.engine.accelerator import Terminated, launched

    try:
        code = _run(args)
    except (UserError, UnknownNameError) as error:
        if os.environ.get("RANK", "0") == "0" or not getattr(error, "everywhere", False):
            print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt as stop:
        print("interrupted; what is finished is kept, the same command goes on", file=sys.stderr)
        if isinstance(stop, Terminated) and launched():
            return EXIT_INTERRUPTED  # perhaps another process died, so this is no verdict
        code = EXIT_INTERRUPTED
    except RuntimeError as error:
        if type(error).__module__.startswith("collavo."):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        code = EXIT_CRASH
    _leave(code)
    return code


def _run(args: argparse.Namespace) -> int:
    extra: list[Any] = list(args.overrides or [])
    for option, key in _OPTIONS.items():
        value = getattr(args, option)
        if value is not None:
            extra += [key, str(value)]

    def make_cfg(benchmark: str | None) -> Any:
        return get_cfg(args.conf_files or (), extra, args.config_overrides, benchmark)

    from collavo.engine.run import run_eval

    return run_eval(make_cfg)


def _leave(code: int) -> None:
    """Writes the exit code where `bash run` looks for it; 0 is the main process's to say."""
    path = os.environ.get("COLLAVO_EXIT_CODE_FILE", "")
    if path and (code or os.environ.get("RANK", "0") == "0"):
        try:
            Path(path).write_text(f"{code}\n", encoding="ascii")
        except OSError as error:
            logger.warning("cannot write the exit code to %s: %s", path, error)
