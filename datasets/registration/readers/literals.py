"""Reads the lists that tables hold as text, however they were written."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from typing import Any

_NAMES = {"nan": "None", "NaN": "None", "null": "None", "true": "True", "false": "False"}
"""What pandas and JSON print, and Python's words for it."""

_OPEN, _CLOSE = ("[", "(", "{"), ("]", ")", "}")
_VALUES = (tokenize.STRING, tokenize.NUMBER, tokenize.NAME)


def literal(text: str) -> Any:
    """Evaluates a list (or another value) that is written as text; None where it is none.

    Read are JSON, Python's literals, and what NumPy and pandas print of lists: without commas
    ("['a' 'b']"), with nan in the place of what is missing.
    """
    try:
        return json.loads(text, parse_constant=lambda constant: None)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(_as_python(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def listed(value: Any) -> Any:
    """Returns the list that a text writes ("['a', 'b']"); any other value as it is."""
    if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")):
        return value
    found = literal(value)
    return found if isinstance(found, list) else value


def _as_python(text: str) -> str:
    """Words a list as Python does; a text that is no list stays as it is."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return text
    if not text.lstrip().startswith(_OPEN) or any(t.type == tokenize.ERRORTOKEN for t in tokens):
        return text
    found: list[str] = []
    depth = 0
    ended = False
    for token in tokens:
        word = token.string
        if not word.strip():
            continue
        opens, value = word in _OPEN, token.type in _VALUES
        # Python would join "a" "b" to one text, which nobody means who writes a list
        if depth and ended and (opens or value):
            found.append(",")
        found.append(_NAMES.get(word, word))
        depth += opens - (word in _CLOSE)
        ended = value or word in _CLOSE
    return " ".join(found)
