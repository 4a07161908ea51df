"""Typed, lazy registries: a name leads to a class, imported at its first look-up."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from collavo.errors import ConfigError

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluator
    from collavo.datasets.evaluation.parsing import Parser
    from collavo.datasets.mappers.vqa import ImageMapper
    from collavo.modeling.architectures.base import Architecture
    from collavo.modeling.image_policies.base import ImagePolicy
    from collavo.modeling.llms.base import LLMFamily
    from collavo.modeling.losses.base import TokenLoss
    from collavo.modeling.projectors.base import Projector
    from collavo.modeling.segmenters.base import Segmenter
    from collavo.modeling.vision_encoders.base import VisionEncoder
    from collavo.pipeline.base import Pipeline

T_co = TypeVar("T_co", covariant=True)
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


def unknown_name(
    kind: str, name: str, known: list[str], aliases: Iterable[str] = ()
) -> UnknownNameError:
    """Builds the error for an unknown name: the nearest names, else aliases, and all names."""
    close: list[str] = []
    for words in (known, aliases):
        spelled = {word.lower(): word for word in words}
        close = close or difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)
        close = [spelled.get(word, word) for word in close]
    hint = f" Did you mean: {', '.join(close)}?" if close else ""
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(sorted(known))}")


class Registry(Generic[T_co]):
    """Maps lower-case names to classes (or functions) of one role.

    Names and first docstring lines of built-in classes are read from their source, so listing
    imports nothing. The module of a class is imported at its first look-up.

    Args:
        kind: What the classes are, for messages ("pipeline").
        package: The package whose modules register built-in classes ("collavo.pipeline"). Its
            sources are searched for `@VARIABLE.register(...)`, where VARIABLE is the registry's
            name in this module; a registry made elsewhere knows what registers at run time.
        base: The class that all of them are derived from, "module:Class"; "" for functions
            and protocols.
    """

    def __init__(self, kind: str, package: str, base: str = "") -> None:
        self.kind = kind
        self.package = package
        self.base = base
        self._classes: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}
        self._descriptions: dict[str, Entry] = {}
        self._scanned: dict[str, Entry] | None = None

    def register(self, name: str, *aliases: str) -> Callable[[C], C]:
        """Registers the decorated class under `name` and `aliases` (case does not matter).

        The same class again, as after `importlib.reload`, takes its own place.

        Raises:
            ValueError: A name is taken, or the module was imported past the `collavo` package.
        """
        if not name or not all(isinstance(n, str) and n.strip() for n in (name, *aliases)):
            raise ValueError(f"a {self.kind} is registered under text, got {(name, *aliases)!r}")

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

    def get(self, name: str) -> type[T_co]:
        """Returns the class of `name`, importing its module if needed.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest ones.
            ConfigError: What is registered under it does not keep the contract.
        """
        key = self._resolve(name)
        if key not in self._classes:
            module = self._scan()[key].module
            importlib.import_module(module)
            if key not in self._classes:
                raise LookupError(f"{module} did not register the {self.kind} {key!r} on import")
        found: type[T_co] = self._classes[key]
        self._check(key, found)
        return found

    def _check(self, name: str, cls: Any) -> None:
        """Refuses a class that is not derived from the base, or lacks what the base asks for."""
        if not self.base:
            return
        module, _, base = self.base.partition(":")
        wanted = getattr(importlib.import_module(module), base)
        if not isinstance(cls, type) or not issubclass(cls, wanted):
            raise ConfigError(
                f"the {self.kind} {name!r} ({_place(cls)}) is not derived from {module}.{base}"
            )
        if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
            raise ConfigError(
                f"the {self.kind} {name!r} ({_place(cls)}) lacks {', '.join(lacking)}, which every "
                f"{self.kind} has to give; see {module}.{base}"
            )

    def remove(self, name: str) -> None:
        """Forgets what was registered under `name` at run time, with its aliases.

        A built-in class stays listed: only plug-ins and tests have a use for this.

        Raises:
            UnknownNameError: No such name.
        """
        key = self._resolve(name)
        self._classes.pop(key, None)
        self._descriptions.pop(key, None)
        self._aliases = {a: n for a, n in self._aliases.items() if n != key}

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
        entries = self.entries()
        aliases = [alias for e in entries for alias in e.aliases]
        raise unknown_name(self.kind, name, [e.name for e in entries], aliases)

    def _refuse_taken(self, key: str, cls: Callable[..., Any]) -> None:
        """Raises if `key` belongs to anything but `cls` itself or an earlier load of it."""
        name = self._aliases.get(key, key)
        holder = self._classes.get(name)
        where = ""
        if holder is not None:
            # a reload makes a new class of the same name at the same place
            if _place(holder) != _place(cls) or "<locals>" in cls.__qualname__:
                where = _place(holder)
        else:
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
        if self._scanned is not None:
            return self._scanned
        self._scanned = {}
        variable = next((k for k, v in globals().items() if v is self), None)
        if variable is None:
            return self._scanned
        root = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        owners: dict[str, str] = {}
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            module = ".".join((self.package, *parts)).removesuffix(".__init__")
            for entry in _registrations(file, module, variable):
                for key in (entry.name, *(a.lower() for a in entry.aliases)):
                    if key in owners:
                        raise ValueError(
                            f"{self.kind} {key!r} is registered by {owners[key]} and by {module}"
                        )
                    owners[key] = module
                self._scanned[entry.name] = entry
        return self._scanned


def _place(cls: Callable[..., Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _registrations(file: Path, module: str, variable: str) -> Iterator[Entry]:
    """Yields the entries that `@VARIABLE.register("name", ...)` declares in one file."""
    text = file.read_text(encoding="utf-8")
    if f"@{variable}.register(" not in text:
        return
    for node in ast.parse(text).body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        for decorator in node.decorator_list:
            if not (
                isinstance(decorator, ast.Call)
                and ast.unparse(decorator.func) == f"{variable}.register"
            ):
                continue
            names = [a.value for a in decorator.args if isinstance(a, ast.Constant)]
            if not names or len(names) != len(decorator.args):
                raise ValueError(
                    f"{file}, line {decorator.lineno}: built-ins are registered under literal names"
                )
            doc = (ast.get_docstring(node) or "").splitlines()
            aliases = tuple(str(n) for n in names[1:])
            yield Entry(str(names[0]).lower(), module, doc[0] if doc else "", aliases)


ARCHITECTURES: Registry[Architecture] = Registry(
    "model",
    "collavo.modeling.architectures",
    "collavo.modeling.architectures.base:Architecture",
)
EVALUATORS: Registry[Evaluator] = Registry(
    "evaluator", "collavo.datasets.evaluation", "collavo.datasets.evaluation.base:Evaluator"
)
IMAGE_POLICIES: Registry[ImagePolicy] = Registry(
    "image policy",
    "collavo.modeling.image_policies",
    "collavo.modeling.image_policies.base:ImagePolicy",
)
LLMS: Registry[LLMFamily] = Registry(
    "llm", "collavo.modeling.llms", "collavo.modeling.llms.base:LLMFamily"
)
LOSSES: Registry[TokenLoss] = Registry("loss", "collavo.modeling.losses")
MAPPERS: Registry[ImageMapper] = Registry(
    "mapper", "collavo.datasets.mappers", "collavo.datasets.mappers.vqa:ImageMapper"
)
PARSERS: Registry[Parser] = Registry(
    "parser", "collavo.datasets.evaluation", "collavo.datasets.evaluation.parsing:Parser"
)
PIPELINES: Registry[Pipeline] = Registry(
    "pipeline", "collavo.pipeline", "collavo.pipeline.base:Pipeline"
)
PROJECTORS: Registry[Projector] = Registry(
    "projector", "collavo.modeling.projectors", "collavo.modeling.projectors.base:Projector"
)
SEGMENTERS: Registry[Segmenter] = Registry(
    "segmenter", "collavo.modeling.segmenters", "collavo.modeling.segmenters.base:Segmenter"
)
VISION_ENCODERS: Registry[VisionEncoder] = Registry(
    "vision encoder",
    "collavo.modeling.vision_encoders",
    "collavo.modeling.vision_encoders.base:VisionEncoder",
)
