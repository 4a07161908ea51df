"""Reads files of JSON rows: an array, or one object a line, whatever the file is called."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.text import Line, lines_of, read_text
from collavo.errors import DataError

_SURROGATE = "\\ud"
"""How JSON begins to write half of a character beyond U+FFFF (in lower case)."""

_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """One record of a dataset file, which knows where it stands.

    Args:
        place: File and line or row number, for messages.
        values: The record's fields.
    """

    place: str
    values: Mapping[str, Any]

    def need(self, *names: str) -> Any:
        """Returns the first of the fields `names` that is there and not null.

        Raises:
            DataError: None of them is there.
        """
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        wanted = " or ".join(repr(name) for name in names)
        raise DataError(f"{self.place}: no field {wanted}; it has {_names(self.values)}")

    def text(self, *names: str) -> str:
        """Returns the first of the fields `names` that is there, which must be text.

        Raises:
            DataError: None of them is there, or it is not text.
        """
        value = self.need(*names)
        if not isinstance(value, str):
            raise DataError(
                f"{self.place}: field {_found(self.values, names)!r} must be text, "
                f"got {_short(value)}"
            )
        return value

    def key(self, *names: str) -> str | int:
        """Returns the first of the fields `names` as an id: text, or a whole number.

        Raises:
            DataError: None of them is there, or it is neither text nor a whole number.
        """
        value = self.need(*names)
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DataError(
                f"{self.place}: field {_found(self.values, names)!r} must be text or a whole "
                f"number, got {_short(value)}"
            )
        return value


def read_json(path: Path) -> Any:
    """Reads one JSON value.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is empty, cut off or not JSON; the message names the line.
    """
    return parse_json(read_text(path).lstrip("\ufeff"), path)


def read_rows(path: Path) -> list[Row]:
    """Reads the rows of a JSON array or of a file with one JSON object a line.

    Which of the two it is, its first character says: names lie (POPE's .json files hold lines).

    Raises:
        MissingFileError: The file is not there.
        DataError: The file or one of its rows is broken; the message names the line.
    """
    text = read_text(path).lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return _rows_of_array(read_json(path), path)
    if not text:
        raise DataError(f"{path} is empty; fetch it again")
    if text.startswith("{") and not _one_object_a_line(text):
        return _rows_of_array([parse_json(read_text(path), path)], path)
    return [_row_of_line(line) for line in lines_of(path)]


def _one_object_a_line(text: str) -> bool:
    """Tells lines of objects from one object that is spread over several lines."""
    first, _, rest = text.partition("\n")
    return not rest.strip() or first.rstrip().endswith(("}", "},")) or "}" not in rest


def _rows_of_array(value: Any, path: Path) -> list[Row]:
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of objects, got {_short(value)}")
    rows = []
    for number, values in enumerate(value, start=1):
        place = f"{path}, row {number}"
        if not isinstance(values, dict):
            raise DataError(f"{place}: expected an object, got {_short(values)}")
        rows.append(Row(place, values))
    return rows


def _row_of_line(line: Line) -> Row:
    # Some published files end each line with a comma (SEED-Bench's GPT-4V answers).
    text = line.text.strip().removesuffix(",")
    values = parse_json(text, line.file, line.number)
    if not isinstance(values, dict):
        raise DataError(f"{line.place}: expected an object, got {_short(values)}")
    return Row(line.place, values)


def parse_json(text: str, path: Path, line: int | None = None) -> Any:
    """Parses JSON, with control characters inside strings allowed (answers hold them).

    Args:
        text: One JSON value.
        path: Where it comes from, for messages.
        line: Its line there; None where the text is the whole file.

    Raises:
        DataError: It is no JSON.
    """
    try:
        # NaN and Infinity, as data frames write what is missing, are no values
        value = json.loads(text, strict=False, parse_constant=lambda constant: None)
        return _whole_characters(value) if _SURROGATE in text.lower() else value
    except json.JSONDecodeError as error:
        number = error.lineno if line is None else line
        at_end = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = "the text ends too early" if at_end else f"{error.msg} at column {error.colno}"
        near = "" if at_end else f", near {text[max(0, error.pos - 10) : error.pos + 20]!r}"
        nul = "; it holds NUL bytes, as a broken download does" if "\0" in text else ""
        raise DataError(
            f"{path}, line {number}: not JSON: {what}{near}{nul}; fetch the file again"
        ) from error
    except (RecursionError, ValueError) as error:
        # ValueError: a number of thousands of digits.
        place = f"{path}, line {line}" if line else str(path)
        raise DataError(f"{place}: not usable JSON: {error}") from error


def _whole_characters(value: Any) -> Any:
    """Replaces halves of characters, which no file can hold, by U+FFFD."""
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {_whole_characters(k): _whole_characters(v) for k, v in value.items()}
    return value


def _names(values: Mapping[str, Any]) -> str:
    return ", ".join(repr(str(name)) for name in list(values)[:20]) or "no fields"


def _found(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next(name for name in names if values.get(name) is not None)


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
