"""Parsers: the named rules that read an answer. Toolkits differ on purpose, so each has a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from collavo.errors import ConfigError
from collavo.registry import PARSERS, UnknownNameError, unknown_name


class Parser(ABC):
    """Reads a model's answer; registered as `<evaluator>.<name>`."""

    unparsed_is_no: ClassVar[bool] = False
    """Whether an answer that is neither yes nor no counts as no in precision and recall."""

    @abstractmethod
    def parse(self, text: str) -> str:
        """Returns the answer in the form that the evaluator compares."""


def parser_names(evaluator: str) -> list[str]:
    """Lists the parsers of an evaluator, the official one first."""
    start = f"{evaluator}."
    names = [e.name.removeprefix(start) for e in PARSERS.entries() if e.name.startswith(start)]
    return sorted(names, key=lambda name: (name != "official", name))


def parser_of(evaluator: str, name: str) -> Parser:
    """Returns the parser `name` of an evaluator.

    Raises:
        ConfigError: It has no such parser; the message lists those that it has.
    """
    key = f"{evaluator}.{name.strip().lower().removeprefix(f'{evaluator}.')}"
    try:
        return PARSERS.get(key)()
    except UnknownNameError as error:
        known = parser_names(evaluator)
        raise ConfigError(str(unknown_name(f"{evaluator} parser", name, known))) from error
