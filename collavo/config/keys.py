"""A configuration key, and how a value from YAML, JSON or the command line is read for it."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import yaml

from collavo.errors import ConfigError

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})
NONE = frozenset({"None", "none", "null", "~"})
"""Words for "nothing" on the command line; YAML and JSON have their own null."""

_MISSING = object()


@dataclass(frozen=True)
class Key:
    """One configuration key.

    Args:
        name: The dotted name ("LLM.BITS").
        default: The default; values keep its type.
        help: What it means, with the unit.
        choices: The values allowed; words are matched without regard to case.
        low: The smallest number allowed.
        high: The largest number allowed.
        none: What None stands for. By default the empty text, list or what `default` is when that
            says "unset"; a key without such a value refuses None.
        joined: A text of names between commas, for which a list is accepted as well.
    """

    name: str
    default: bool | int | float | str | list[Any]
    help: str
    choices: tuple[Any, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    none: Any = field(default=_MISSING)
    joined: bool = False

    @property
    def type_name(self) -> str:
        """The type for messages and the reference: bool, int, float, str or list."""
        return type(self.default).__name__

    @property
    def allowed(self) -> str:
        """What the key takes, for messages and the reference."""
        if self.choices:
            return ", ".join(repr(c) if isinstance(c, str) else str(c) for c in self.choices)
        words = {
            "bool": "true or false (also yes, no, on, off, 1, 0)",
            "int": "a whole number",
            "float": "a number",
            "str": "names between commas, or a list" if self.joined else "text",
            "list": "a list such as [1, 2]",
        }[self.type_name]
        if self.low > -math.inf and self.high < math.inf:
            return f"{words} from {_plain(self.low)} to {_plain(self.high)}"
        if self.low > -math.inf:
            return f"{words}, at least {_plain(self.low)}"
        return words

    @property
    def takes_none(self) -> bool:
        """Whether None is a value of the key: it has one that means "not set"."""
        return self.none is not _MISSING or self.default in ("", [])

    def read(self, value: Any) -> Any:
        """Returns `value` in the key's own type.

        Args:
            value: From YAML or JSON (already typed) or from the command line (text).

        Raises:
            ConfigError: The value is of another type or not allowed; the message names only the
                reason, the caller adds the key's name, the value and where it came from.
        """
        if value is None or (isinstance(value, str) and value in NONE and not self.choices):
            if not self.takes_none:
                raise ConfigError("None is not allowed")
            return copy(self.default if self.none is _MISSING else self.none)
        result = _READERS[type(self.default)](self, value)
        if self.choices:
            return self._choice(result)
        if isinstance(result, (int, float)) and not isinstance(result, bool):
            if not self.low <= result <= self.high:
                raise ConfigError("it is out of range")
        return result

    def _choice(self, value: Any) -> Any:
        for choice in self.choices:
            same = isinstance(value, str) and value.lower() == str(choice).lower()
            if value == choice or same:
                return choice
        raise ConfigError("it is none of the choices")


def _plain(bound: float) -> str:
    """A bound as one would write it: whole numbers with all their digits."""
    return f"{bound:.0f}" if bound == int(bound) else f"{bound:g}"


def _bool(key: Key, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        word = str(value).strip().lower()
        if word in TRUE | FALSE:
            return word in TRUE
    raise ConfigError("it is neither true nor false")


def _int(key: Key, value: Any) -> int:
    if isinstance(value, bool):
        raise ConfigError("it is not a whole number")
    number = _number(value, "it is not a whole number")
    if number != int(number):
        raise ConfigError("it is not a whole number")
    return int(number)


def _float(key: Key, value: Any) -> float:
    if isinstance(value, bool):
        raise ConfigError("it is not a number")
    return float(_number(value, "it is not a number"))


def _number(value: Any, problem: str) -> int | float:
    if isinstance(value, str):
        for parse in (int, float):
            try:
                value = parse(value.strip())
                break
            except ValueError:
                continue
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(problem)
    return value


def _str(key: Key, value: Any) -> str:
    if key.joined:
        if isinstance(value, str) and value.strip()[:1] in ("[", "("):
            value = _list(key, value)
        if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            return ",".join(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError("it is not text")
    text = str(value)
    # 'text' and "text", as yacs reads them
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _list(key: Key, value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "("):
            value = _literal(text)
        else:
            value = [word.strip() for word in text.split(",") if word.strip()]
    if not isinstance(value, (list, tuple)):
        raise ConfigError("it is not a list")
    items = list(value)
    if isinstance(key.default, list) and key.default:
        item = Key(key.name, key.default[0], key.help)
        items = [item.read(v) for v in items]
    return items


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    # [pope_test, mme]: names without quotes
    inner = text[1:-1] if text[-1:] in ("]", ")") else ""
    if inner and not any(c in inner for c in "[](){}"):
        return [word.strip().strip("'\"") for word in inner.split(",") if word.strip()]
    try:  # [{module: crayon}]: mappings as YAML writes them
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ConfigError("it is not a list")
    return found


_READERS: dict[type, Any] = {bool: _bool, int: _int, float: _float, str: _str, list: _list}


def section_names(keys: Sequence[Key]) -> set[str]:
    """Lists every dotted prefix of the keys: "LLM", "SEGMENTER", "SEGMENTER.PRECOMPUTED"."""
    found: set[str] = set()
    for key in keys:
        parts = key.name.split(".")
        found.update(".".join(parts[:i]) for i in range(1, len(parts)))
    return found
