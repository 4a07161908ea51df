"""Writes files for the servers of benchmarks that hide their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collavo.errors import UserError


def write_json(path: Path, value: Any) -> Path:
    """Writes one JSON value as Python's `json.dump` does, which the organisers' scripts use.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}; choose another folder") from error
    return path
