"""Typed, lazy registries: a name leads to a class, whose module is imported at its first look-up."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])

_LINKED = ("datasets", "modeling", "pipeline")
"""Folders at the root that are only to be imported as `collavo.<folder>`."""


@dataclass(frozen=True)
class Entry:
    """What a registry knows of a name without importing its module."""

    name: str
    module: str
    description: str
    aliases: tuple[str, ...] = ()


class UnknownNameError(KeyError):
    """A name that no registry entry has; the message suggests the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_name(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Builds the error for an unknown name, with suggestions and the list of names."""
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.6)
    hint = f" Did you mean: {', '.join(close)}?" if close else ""
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(sorted(known))}")


class Registry(Generic[T]):
    """Maps lower-case names to classes of one role.

    Names and first docstring lines of built-in classes are read from their source, so listing
    imports nothing. The module of a class is imported at its first look-up.

    Args:
        kind: What the classes are, for messages ("pipeline").
        package: The package whose modules register built-in classes ("collavo.pipeline").
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}
        self._descriptions: dict[str, Entry] = {}
        self._scanned: dict[str, Entry] | None = None

    def register(self, name: str, *aliases: str) -> Callable[[C], C]:
        """Registers the decorated class under `name` and `aliases` (case does not matter).

        Raises:
            ValueError: A name is taken, or the module was imported past the `collavo` package.
        """

        def decorate(cls: C) -> C:
            root = cls.__module__.split(".")[0]
            if root in _LINKED:
                raise ValueError(
                    f"{cls.__qualname__} was imported as {cls.__module__!r}; "
                    f"import it as 'collavo.{cls.__module__}'"
                )
            for key in (name, *aliases):
                self._refuse_taken(key.lower(), cls)
            self._classes[name.lower()] = cls
            for alias in aliases:
                self._aliases[alias.lower()] = name.lower()
            doc = (cls.__doc__ or "").strip().splitlines()
            self._descriptions[name.lower()] = Entry(
                name.lower(), cls.__module__, doc[0] if doc else "", tuple(aliases)
            )
            return cls

        return decorate

    def get(self, name: str) -> type[T]:
        """Returns the class of `name`, importing its module if needed.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest ones.
        """
        key = self._resolve(name)
        if key not in self._classes:
            importlib.import_module(self._scan()[key].module)
        return self._classes[key]

    def canonical(self, name: str) -> str:
        """Returns the canonical name of `name`, which may be an alias.

        Raises:
            UnknownNameError: No such name.
        """
        return self._resolve(name)

    def entries(self) -> list[Entry]:
        """Lists every name with its description, sorted, without importing a module."""
        merged = {**self._scan(), **self._descriptions}
        return [merged[k] for k in sorted(merged)]

    def __contains__(self, name: str) -> bool:
        try:
            self._resolve(name)
        except UnknownNameError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(e.name for e in self.entries())

    def _resolve(self, name: str) -> str:
        key = name.lower()
        scanned = self._scan()
        if key in self._classes or key in scanned:
            return key
        if key in self._aliases:
            return self._aliases[key]
        for entry in scanned.values():
            if key in (a.lower() for a in entry.aliases):
                return entry.name
        raise unknown_name(self.kind, name, [e.name for e in self.entries()])

    def _refuse_taken(self, key: str, cls: type) -> None:
        holder = self._classes.get(key) or self._classes.get(self._aliases.get(key, ""))
        where = f"{holder.__module__}.{holder.__qualname__}" if holder else ""
        if not holder:
            for entry in self._scan().values():
                names = {entry.name, *(a.lower() for a in entry.aliases)}
                if key in names and entry.module != cls.__module__:
                    where = entry.module
        if where:
            raise ValueError(
                f"{self.kind} {key!r} is already registered by {where}; choose another name"
            )

    def _scan(self) -> dict[str, Entry]:
        """Reads names and descriptions from the source of the package's modules."""
        if self._scanned is None:
            self._scanned = {}
            root = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
            variable = self._name_here()
            for file in sorted(root.rglob("*.py")):
                parts = file.relative_to(root).with_suffix("").parts
                module = ".".join((self.package, *parts)).removesuffix(".__init__")
                for entry in _registrations(file, module, variable):
                    self._scanned[entry.name] = entry
        return self._scanned

    def _name_here(self) -> str:
        return next(k for k, v in globals().items() if v is self)


def _registrations(file: Path, module: str, variable: str) -> Iterator[Entry]:
    """Yields the entries that `@VARIABLE.register("name", ...)` declares in one file."""
    text = file.read_text(encoding="utf-8")
    if f"@{variable}.register(" not in text:
        return
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if (
                isinstance(decorator, ast.Call)
                and ast.unparse(decorator.func) == f"{variable}.register"
            ):
                names = [a.value for a in decorator.args if isinstance(a, ast.Constant)]
                doc = (ast.get_docstring(node) or "").splitlines()
                yield Entry(
                    str(names[0]).lower(),
                    module,
                    doc[0] if doc else "",
                    tuple(str(n) for n in names[1:]),
                )


ARCHITECTURES: Registry[Any] = Registry("model", "collavo.modeling.architectures")
EVALUATORS: Registry[Any] = Registry("evaluator", "collavo.datasets.evaluation")
LLMS: Registry[Any] = Registry("llm", "collavo.modeling.llms")
LOSSES: Registry[Any] = Registry("loss", "collavo.modeling.losses")
MAPPERS: Registry[Any] = Registry("mapper", "collavo.datasets.mappers")
PARSERS: Registry[Any] = Registry("parser", "collavo.datasets.evaluation")
PIPELINES: Registry[Any] = Registry("pipeline", "collavo.pipeline")
PROJECTORS: Registry[Any] = Registry("projector", "collavo.modeling.projectors")
SEGMENTERS: Registry[Any] = Registry("segmenter", "collavo.modeling.segmenters")
VISION_ENCODERS: Registry[Any] = Registry("vision encoder", "collavo.modeling.vision_encoders")
