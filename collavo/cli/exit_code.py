"""Tells a launcher's caller the exit code, which `accelerate launch` turns into 1."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from collavo.terminal import say

logger = logging.getLogger(__name__)

VARIABLE = "COLLAVO_EXIT_CODE_FILE"
"""Names the file; `bash run` reads it, and starts anew where a process died without a word."""


PATIENCE = 4.0
"""Seconds in which another process may say what this one has met, too."""


def leave_exit_code(code: int) -> None:
    """Writes the exit code into the file that `VARIABLE` names, if it names one.

    That all went well is for the main process to say; a fault may be any process's.

    Args:
        code: The exit code of this process.
    """
    path = os.environ.get(VARIABLE, "")
    if not path or (code == 0 and not is_main_process()):
        return
    try:
        Path(path).write_text(f"{code}\n", encoding="ascii")
    except OSError as error:
        logger.warning("cannot write the exit code to %s: %s", path, error)


def is_main_process() -> bool:
    """Whether this is the first process of a launch, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def speaks_here() -> bool:
    """Whether this is the first process on its machine: errors that all meet are its to print."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def tell_error(error: Exception, at_once: bool = False) -> None:
    """Prints an error to stderr.

    A process that does not speak waits: had the first one met the same, it has printed it and the
    launcher, which ends all when one ends, is about to. Else the error is this process's own.

    Args:
        error: What went wrong.
        at_once: Whether it is known to be this process's own.
    """
    if speaks_here():
        say(f"error: {error}", sys.stderr)
        return
    if not at_once:
        time.sleep(PATIENCE)
    say(f"error: process {os.environ.get('RANK')}: {error}", sys.stderr)
