"""Reads result files that are no rows: LLaVA's of ScienceQA, CoLLaVO's of Q-Bench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.readers.text import read_bytes, read_text


def result_rows(path: Path) -> list[Row]:
    """Reads a file of one of these forms; an empty list where it is none of them.

    - LLaVA's analysis of ScienceQA: an object with the lists `correct` and `incorrect`.
    - LLaVA's results of ScienceQA: an object with `results` and, by pid, `outputs`.
    - CoLLaVO's results of Q-Bench: objects one behind another, with no line ends between them.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is not UTF-8.
    """
    head = read_bytes(path)[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith(b"{"):
        return []
    text = read_text(path).lstrip("\ufeff \t\r\n")
    if "}{" in text:
        return _joined(text, path)
    if '"correct"' not in text[:4096]:
        return []
    try:
        value = json.loads(text, strict=False, parse_constant=lambda constant: None)
    except (json.JSONDecodeError, RecursionError, ValueError):
        return []
    return _science(value, path)


def _joined(text: str, path: Path) -> list[Row]:
    """Objects with nothing between them; an empty list where anything else stands there."""
    decoder = json.JSONDecoder(strict=False)
    rows: list[Row] = []
    position, joined = 0, False
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError, ValueError):
            return []
        if not isinstance(value, dict):
            return []
        rows.append(Row(f"{path}, object {len(rows) + 1}", value))
        joined = joined or text[position : position + 1] == "{"
        while position < len(text) and text[position].isspace():
            position += 1
    return rows if joined else []


def _science(value: Any, path: Path) -> list[Row]:
    if not isinstance(value, Mapping):
        return []
    lists = [value.get(name) for name in ("correct", "incorrect")]
    if all(isinstance(x, list) for x in lists):
        found = [row for rows in lists if isinstance(rows, list) for row in rows]
        return [
            Row(
                f"{path}, row {number}",
                {
                    "question_id": row.get("question_id"),
                    "answer": row.get("pred"),
                    "prompt": row.get("question"),
                },
            )
            for number, row in enumerate(found, start=1)
            if isinstance(row, Mapping)
        ]
    outputs = value.get("outputs")
    if isinstance(outputs, Mapping) and isinstance(value.get("results"), Mapping):
        return [
            Row(f"{path}, output {key!r}", {"question_id": key, "answer": text})
            for key, text in outputs.items()
        ]
    return []
