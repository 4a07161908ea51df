"""The code that a class hangs on: the files that its module imports, found without running them.

Imports are read from the source (also those inside functions; those of `TYPE_CHECKING` are for
checkers alone), never from `sys.modules`, which holds whatever else the process has loaded. They
are followed through the project and through a plug-in's own neighbourhood: its folder, or the
package that it is part of. Libraries count by their version, see `fingerprint`. What is read as
data and not imported is no code, and is not found here.
"""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from collavo.config.paths import PACKAGE

NOT_ANSWERS = tuple(
    f"collavo.{name}"
    for name in (
        *("cli", "config", "results", "registry", "errors", "plugins", "lifetime", "predictor"),
        *("datasets.evaluation", "datasets.miniature", "datasets.instruction", "engine"),
        *("datasets.registration.catalog", "datasets.registration.roots"),
    )
)
"""Modules of the frame: they bring things together, and what they decide stands in the settings,
the prompts and the samples, which have items of their own in a fingerprint."""

ENGINE = tuple(
    f"collavo.engine.{name}"
    for name in ("asking", "compute", "crayons", "images", "likelihood", "plan", "prepare")
)
"""The modules of the engine that a question passes on its way to the model."""


def answering_files(used: Iterable[object]) -> dict[str, Path]:
    """Finds the files of the code that makes answers.

    Args:
        used: The model, its parts, pipeline, mapper, segmenter. Their classes and all base classes
            take part.

    Returns:
        Files by module name. Modules of plug-ins are named from their own folder on, so that a
        plug-in may lie elsewhere on another machine.
    """
    waiting = [(name, file) for name in ENGINE if (file := _project_file(name)) is not None]
    # each class once: a model has thousands of modules, of some dozen classes
    for base in dict.fromkeys(base for item in used for base in type(item).__mro__):
        module = sys.modules.get(base.__module__)
        source = inspect.getsourcefile(base) if module is not None and _is_plain(base) else None
        if source and not _is_library(base.__module__, Path(source)):
            waiting.append((base.__module__, Path(source)))
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    while waiting:
        name, file = waiting.pop()
        if file not in seen:
            seen.add(file)
            found[_stable(name, file)] = file
            waiting += _neighbours(name, file)
    return found


def _is_plain(base: type) -> bool:
    return base.__module__ not in ("builtins", "abc", "typing")


def _is_library(name: str, file: Path) -> bool:
    """Whether a module is an installed library; a plug-in may be installed, so it is asked for."""
    if name.split(".")[0] == "collavo":
        return name.startswith(NOT_ANSWERS) and name not in ENGINE
    places = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.is_relative_to(place) for place in places)


def _stable(name: str, file: Path) -> str:
    ours = name.split(".")[0] == "collavo"
    return name if ours else f"plug-in {name.rpartition('.')[2]} {file.name}"


def _neighbours(name: str, file: Path) -> Iterator[tuple[str, Path]]:
    """The modules that a file imports and that are followed."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for wanted in _imported(file, file.stat().st_mtime_ns):
        level = len(wanted) - len(wanted.lstrip("."))
        bare = wanted.lstrip(".")
        if level:  # `from . import x`: below the package that the file is in
            folder = file.parent
            for _ in range(level - 1):
                folder = folder.parent
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - level + 1])
            path = _in_folder(folder, bare)
            if path is not None:
                yield f"{above}.{bare}", path
        elif bare.split(".")[0] == "collavo":
            path = _project_file(bare)
            followed = not bare.startswith(NOT_ANSWERS) or bare in ENGINE
            if path is not None and followed:
                yield bare, path
        elif name.split(".")[0] != "collavo":
            path = _in_folder(_top(name, file), bare)
            if path is not None:
                yield bare, path


def _top(name: str, file: Path) -> Path:
    """The folder that a plug-in's absolute imports are found in: beside its outermost package."""
    folder = file.parent
    if name.startswith("collavo_user_"):
        depth = name.count(".") - (file.name != "__init__.py")
        for _ in range(depth):
            folder = folder.parent
        return folder
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _in_folder(folder: Path, name: str) -> Path | None:
    base = folder.joinpath(*name.split(".")) if name else folder
    for file in (base.with_name(f"{base.name}.py") if name else base / "", base / "__init__.py"):
        if file.is_file():
            return file
    return None


@lru_cache(maxsize=4096)
def _project_file(name: str) -> Path | None:
    return _in_folder(PACKAGE.parent, name)


@lru_cache(maxsize=4096)
def _imported(file: Path, changed: int) -> tuple[str, ...]:
    """The dotted names that a file imports, with leading dots where they are relative."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return ()  # it could not have been imported
    names: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                names |= dict.fromkeys(".".join(parts[:k]) for k in range(1, len(parts) + 1))
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            parts = (node.module or "").split(".") if node.module else []
            dots = "." * node.level
            names |= dict.fromkeys(
                dots + ".".join(parts[:k]) for k in range(0 if node.level else 1, len(parts) + 1)
            )
            joint = "" if base.endswith(".") or not base else "."
            names |= dict.fromkeys(f"{base}{joint}{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)
    return tuple(names)
