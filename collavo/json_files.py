"""The border between JSON on disk and the program: whatever a file holds, it is read or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collavo.errors import UserError

LARGEST = 1 << 30
"""Bytes of a JSON file at most; what we and others write is a thousandth of it."""


def parse_json(text: str | bytes, place: str, error: Callable[[str], UserError]) -> Any:
    """Parses one JSON value.

    Args:
        text: The text.
        place: File and line, for the message.
        error: What is raised where it is no JSON: not UTF-8, nested without end, numbers of
            thousands of digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        said = "it is nested too deeply" if isinstance(cause, RecursionError) else str(cause)
        raise error(f"{place} is no JSON that can be used: {said[:200]}") from cause


def parse_object(
    text: str | bytes, place: str, error: Callable[[str], UserError]
) -> dict[str, Any]:
    """Parses one JSON object; see `parse_json`."""
    found = parse_json(text, place, error)
    if not isinstance(found, dict):
        raise error(f"{place} holds {type(found).__name__} {found!r:.60}, not a JSON object")
    return found


def read_object(path: Path, error: Callable[[str], UserError]) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Args:
        path: The file.
        error: What is raised where it cannot be read or holds something else.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise error(f"{path} is larger than a JSON file may be ({LARGEST:,} bytes)")
        data = path.read_bytes()
    except OSError as cause:
        raise error(f"{path} cannot be read: {cause.strerror or cause}") from cause
    return parse_object(data, str(path), error)
