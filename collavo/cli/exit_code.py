"""Leaves the exit code in a file, since `accelerate launch` turns every failure into 1."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def leave_exit_code(code: int) -> None:
    """Writes the code to the file that COLLAVO_EXIT_CODE_FILE names, where `bash run` reads it.

    Any process may say that it failed; that all is well is the main process's to say.
    """
    path = os.environ.get("COLLAVO_EXIT_CODE_FILE", "")
    if path and (code or os.environ.get("RANK", "0") == "0"):
        try:
            Path(path).write_text(f"{code}\n", encoding="ascii")
        except OSError as error:
            logger.warning("cannot write the exit code to %s: %s", path, error)
