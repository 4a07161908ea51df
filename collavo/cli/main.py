"""The command line: finds the command, loads plug-ins, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import collavo
from collavo.cli.exit_code import leave_exit_code
from collavo.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_PIPE, EXIT_USAGE, UserError
from collavo.pulse import pulse
from collavo.registry import UnknownNameError
from collavo.terminal import Formatter, Stdout, say

COMMANDS = {
    "eval": ("collavo.cli.eval", "Evaluate a model on datasets; resumes where it stopped."),
    "train": ("collavo.cli.train", "Train a stage or a chain of stages; resumes where it stopped."),
    "ablate": ("collavo.cli.ablate", "Train and evaluate the arms of a plan, side by side."),
    "score": ("collavo.cli.score", "Score stored answers, without a model."),
    "compare": ("collavo.cli.compare", "Compare two runs sample by sample; correlate several."),
    "check": ("collavo.cli.check", "Read datasets, open their images, say what is missing."),
    "crayon": ("collavo.cli.crayon", "Build, show or check stored crayon maps."),
    "convert": ("collavo.cli.convert", "Convert checkpoints from and to the published format."),
    "merge": ("collavo.cli.merge", "Fold a stage's adapters into its base, as published."),
    "parity": ("collavo.cli.parity", "Compare with numbers of the original implementation."),
    "list": ("collavo.cli.list", "List datasets, pipelines, models and other registered names."),
}
"""Command -> its module and one line of help. Only the chosen module is imported."""

_WORKING = ("eval", "train", "ablate", "crayon", "convert", "merge")
"""Commands whose work is in files: they go on where nobody reads what they print."""

_PLAIN = (logging.Formatter, type(None))

_OPTIONS = ("--conf_files", "--config_overrides", "--user_dir", "--overrides")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: The words after the program's name; the process's own by default.

    A command that has more to say when it fails does so itself, before it returns its code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # before torch is imported: DDP tells every process of a flag that Dual QLoRA and rows without
    # images need; errors are still shown
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    _set_up_logging()
    stdout = sys.stdout
    wrapped: Any = Stdout(stdout, goes_on=bool(words) and words[0] in _WORKING)
    sys.stdout = wrapped
    try:
        return _caught(words)
    finally:
        sys.stdout = stdout


def _caught(words: list[str]) -> int:
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except (UserError, UnknownNameError) as error:
        say(f"error: {error}", sys.stderr)
        code = getattr(error, "exit_code", EXIT_USAGE)
    except BrokenPipeError:  # `| head`: nobody reads on
        code = EXIT_PIPE
    except OSError as error:  # a path that is too long, a full disk, a file that may not be read
        logging.getLogger(__name__).debug("where it was", exc_info=True)
        say(f"error: {str(error)[:1000]}", sys.stderr)
        code = EXIT_USAGE
    except (RecursionError, MemoryError) as error:
        logging.getLogger(__name__).debug("where it was", exc_info=True)
        full = isinstance(error, MemoryError)
        said = "memory ran out over" if full else "something is nested too deeply in"
        print(f"error: {said} what was given", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except SystemExit as stop:  # argparse, after it has printed help or its error
        code = stop.code if isinstance(stop.code, int) else EXIT_USAGE
    leave_exit_code(code)
    return code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if words else sys.stderr)
        return EXIT_OK if words else EXIT_USAGE
    if words[0] == "--version":
        print(f"collavo {collavo.__version__}")
        return EXIT_OK
    command = words[0]
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=2, cutoff=0.5)
        hint = f" Did you mean: {', '.join(close)}?" if close else ""
        raise UserError(f"unknown command {command!r}.{hint} Commands: {', '.join(COMMANDS)}")
    module = importlib.import_module(COMMANDS[command][0])
    rest, overrides = split_overrides(words[1:])
    parser = argparse.ArgumentParser(
        prog=f"lbk_entry.py {command}",
        description=COMMANDS[command][1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(parser)
    module.add_arguments(parser)
    args = parser.parse_args(rest)
    args.overrides = overrides
    if int(os.environ.get("RANK", "0")) != 0:  # the first process speaks for all
        _load_plugins(args)
        return module.run(args)
    with pulse(f"{command} is at work"):
        _load_plugins(args)
        return module.run(args)


def split_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Parts `--overrides K V K=V ...` from the other words.

    Argparse's own REMAINDER would take every later option along; here the list ends at the first
    word that stands where a key should and begins with "--".

    Returns:
        The other words, and the words of all overrides in order.
    """
    rest: list[str] = []
    found: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word != "--overrides":
            rest.append(word)
            continue
        while queue and not queue[0].startswith("--"):
            key = queue.pop(0)
            found.append(key)
            if "=" not in key and queue:
                found.append(queue.pop(0))
    return rest, found


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Adds the options that every command has."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--conf_files", nargs="+", default=[], metavar="YAML",
        help="configuration files, later ones win; from here or from the packaged configs",
    )  # fmt: skip
    group.add_argument(
        "--config_overrides", nargs="+", default=[], metavar="JSON",
        help='a JSON object of keys: {"LLM.BITS": 4}',
    )  # fmt: skip
    group.add_argument(
        "--user_dir", default="", metavar="PATH",
        help="your plug-ins: a folder, a .py file or an importable package",
    )  # fmt: skip
    group.add_argument(
        "--overrides", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE",
        help="configuration keys: KEY VALUE or KEY=VALUE; see docs/config.md",
    )  # fmt: skip


def _load_plugins(args: argparse.Namespace) -> None:
    """Checks the configuration before anything heavy is loaded, and brings in users' modules."""
    from collavo.plugins import load_plugins

    user_dir = args.user_dir
    if args.conf_files or args.overrides or args.config_overrides:
        from collavo.config import get_cfg

        cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
        user_dir = user_dir or cfg.USER_DIR
    load_plugins(user_dir)


def _overview() -> str:
    lines = [
        "usage: lbk_entry.py <command> [options] [--conf_files YAML] [--overrides KEY VALUE ...]",
        "",
        "commands:",
        *(f"  {name:<9} {about}" for name, (_, about) in COMMANDS.items()),
        "",
        "lbk_entry.py <command> --help shows a command's options; --version the version.",
    ]
    return "\n".join(lines)


def _set_up_logging() -> None:
    """Sends our INFO on the main process, and everyone's warnings, to stderr.

    Stdout holds results alone.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and type(handler.formatter) in _PLAIN:
            line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
            handler.setFormatter(Formatter(line, "%H:%M:%S"))
    if int(os.environ.get("RANK", "0")) == 0:
        logging.getLogger("collavo").setLevel(logging.INFO)
