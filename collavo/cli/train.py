"""`lbk_entry.py train`: trains one stage or a chain of stages, and goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from collavo.cli.exit_code import leave_exit_code, speaks_here, tell_error
from collavo.config import get_cfg
from collavo.errors import EXIT_INTERRUPTED, EXIT_USAGE, ConfigError, UserError
from collavo.registry import UnknownNameError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "--stages", nargs="+", default=[], metavar="YAML",
        help="stages one after the other; each begins with the artefact of the one before",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true", help="start anew; drop the checkpoints that are there"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command and returns its exit code, which is left for the launcher's caller too."""
    from collavo.engine.accelerator import launched

    try:
        code = _run(args)
    except (UserError, UnknownNameError) as error:
        tell_error(error)
        code = getattr(error, "exit_code", EXIT_USAGE)
    except KeyboardInterrupt:
        if speaks_here():
            print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        code = EXIT_INTERRUPTED
        if launched():
            return code  # perhaps because another process died: that is no verdict of ours
    leave_exit_code(code)
    return code


def _run(args: argparse.Namespace) -> int:
    extra: list[Any] = list(args.overrides or [])
    if args.user_dir:
        extra += ["USER_DIR", args.user_dir]
    if args.fresh:
        extra += ["TRAIN.FRESH", "True"]
    stages: list[Callable[[str, str | None], Any]] = [
        partial(_configure, args, [*args.conf_files, *([stage] if stage else [])], extra)
        for stage in args.stages or [""]
    ]
    for make in stages:  # a mistake in the last stage is found before the first is trained
        cfg = make("", None)
        if not cfg.TRAIN.MODULES:
            raise ConfigError(
                "TRAIN.MODULES is empty: say what to train, or take a stage's configuration, such "
                "as --conf_files configs/collavo_step1.yaml"
            )
    folders = [folder for make in stages if (folder := make("", None).TRAIN.DIR)]
    if len(set(folders)) < len(folders):
        raise ConfigError("TRAIN.DIR is one stage's folder; set SAVE_DIR for a chain of stages")

    from collavo.engine.training.run import run_training

    return run_training(stages)


def _configure(
    args: argparse.Namespace,
    files: list[str],
    extra: list[Any],
    artefact: str,
    benchmark: str | None,
) -> Any:
    """Builds a stage's configuration; the artefact of the stage before comes before its weights."""
    handed = ["MODEL.WEIGHTS", artefact, "RESUME_FROM", ""] if artefact else []
    return get_cfg(files, [*extra, *handed], args.config_overrides, benchmark)
