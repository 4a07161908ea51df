"""The code that objects hang on: the files that their classes' modules import, found by reading.

Imports are read from the source (also those inside functions, and literal `import_module` calls),
never from `sys.modules`, which holds whatever else the process has loaded. `if TYPE_CHECKING` is
for checkers alone. They are followed through the project, except for its frame (`NOT_ANSWERS`),
and through users' code: a module's own folder or package and whatever else on `sys.path` is no
installed library. Libraries count by their version, see `fingerprint`; a plug-in that is installed
among them counts like users' code. What a module reads as data and does not import is no code, and
is not found here: a model or segmenter names it in its own `fingerprint`.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.machinery import all_suffixes
from pathlib import Path
from types import FunctionType

from collavo.config.paths import PACKAGE
from collavo.plugins import packages

NOT_ANSWERS = tuple(
    f"collavo.{name}"
    for name in (
        *("cli", "config", "results", "registry", "errors", "plugins", "lifetime", "predictor"),
        *("datasets.evaluation", "datasets.miniature", "datasets.instruction", "engine"),
        *("datasets.registration.catalog", "datasets.registration.which_catalog"),
        *("datasets.registration.roots",),
    )
)
"""The frame, folders and all: it brings things together, and what it decides stands in the
settings, the prompts and the samples, which have items of their own in a fingerprint. Without this
stop the registries and the engine would draw everything in."""

ENGINE = tuple(
    f"collavo.engine.{name}"
    for name in "asking compute crayons images levels likelihood plan prepare".split()
)
"""The modules of the engine that a question passes on its way to the model."""

_LIBRARIES = tuple(
    Path(sysconfig.get_path(kind)).resolve()
    for kind in ("stdlib", "platstdlib", "purelib", "platlib")
)
_HELD = (list, tuple, set, frozenset)


def answering_files(used: Iterable[object], roots: Iterable[str] = ()) -> dict[Path, str]:
    """Finds the files of the code that makes answers, maps or features.

    Args:
        used: The model, its parts, pipeline, mapper, segmenter. Their classes count with all base
            classes, and so do those of the objects that they hold: policies, templates.
        roots: Names of modules that count besides, such as `ENGINE`.

    Returns:
        Names by file: the project's modules by theirs; users' files by their place below the folder
        that they share, which may lie elsewhere on another machine.
    """
    waiting = [(name, file) for name in roots if (file := _module_file(name)) is not None]
    waiting += [(name, file) for name, file in _sources(used) if file is not None]
    # beside their packages, where an editable installation keeps them off `sys.path`
    beside = {_above(file, name.count(".")) for name, file in waiting}
    folders = [*(Path(place or ".").resolve() for place in sys.path), *sorted(beside)]
    found: dict[Path, str] = {}
    while waiting:
        name, file = waiting.pop()
        if (file := file.resolve()) not in found:
            found[file] = name
            waiting += [*_packages_of(name, file), *_imports_of(name, file, folders)]
    theirs = [file for file, name in found.items() if not _is_ours(name)]
    if theirs:
        shared = Path(os.path.commonpath([file.parent for file in theirs]))
        found |= {file: file.relative_to(shared).as_posix() for file in theirs}
    return found


def has_unwritten(used: Iterable[object]) -> bool:
    """Whether a class among these was typed into a session, so that no file holds its code."""
    return any(file is None for _, file in _sources(used))


def _sources(used: Iterable[object]) -> list[tuple[str, Path | None]]:
    """Names and files of the modules of all classes that objects, and what they hold, are of."""
    seen: dict[int, object] = {}  # held, so that no id is given twice
    known: dict[type, tuple[str, Path | None] | None] = {}
    waiting = list(used)
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, (*_HELD, Mapping)):
            waiting += item.values() if isinstance(item, Mapping) else item
            continue
        for kind in type(item).__mro__:
            if kind not in known:
                known[kind] = _source(kind)
        if known[type(item)] is not None:
            waiting += getattr(item, "__dict__", {}).values()
    return [source for source in known.values() if source is not None]


def _source(kind: type) -> tuple[str, Path | None] | None:
    """Name and file of the module of a class; None for those of libraries and of the frame."""
    name = str(kind.__module__)
    if name.split(".")[0] in sys.stdlib_module_names:
        return None
    file = getattr(sys.modules.get(name), "__file__", None) or _written_in(kind)
    if file is None:  # an extension's own types have no Python at all
        return (name, None) if name == "__main__" else None
    path = Path(file)
    if not path.is_file():
        return name, None
    return (name, path) if _counts(name, path) else None


def _written_in(kind: type) -> str | None:
    """The file of any function of a class, whose module need not be registered."""
    functions = (f for f in vars(kind).values() if isinstance(f, FunctionType))
    return next((f.__code__.co_filename for f in functions), None)


def _counts(name: str, file: Path) -> bool:
    if _is_ours(name):
        return name in ENGINE or not (name == "collavo" or _is_frame(name))
    return name.split(".")[0] in packages() or not _is_library(file)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == "collavo"


def _is_frame(name: str) -> bool:
    return any(name == frame or name.startswith(f"{frame}.") for frame in NOT_ANSWERS)


def _is_library(file: Path) -> bool:
    return any(file.resolve().is_relative_to(place) for place in _LIBRARIES)


def _above(file: Path, depth: int) -> Path:
    """The folder that a module's dotted name of so many dots begins in."""
    folder = file.resolve().parent
    for _ in range(depth + (file.name == "__init__.py")):
        folder = folder.parent
    return folder


def _packages_of(name: str, file: Path) -> Iterator[tuple[str, Path]]:
    """The `__init__.py` of the packages that hold a module, which run before it does."""
    folder = file.parent.parent if file.name == "__init__.py" else file.parent
    while name := name.rpartition(".")[0]:
        init = folder / "__init__.py"
        if init.is_file() and _counts(name, init):
            yield name, init
        folder = folder.parent


def _imports_of(name: str, file: Path, folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """The modules that a file imports and that are followed."""
    if file.suffix != ".py":
        return
    for wanted in _imported(file, file.stat().st_mtime_ns):
        bare = wanted.lstrip(".")
        inside, place = bare, None
        if level := len(wanted) - len(bare):
            up = level - (file.name == "__init__.py")
            package = name.rsplit(".", up)[0] if up else name
            inside = f"{package}.{bare}" if bare else package
            place = _in_folder(_above(file, level - 1 - (file.name == "__init__.py")), bare)
        elif _is_ours(bare):
            place = _project_file(bare)
        elif not _is_ours(name) and bare.split(".")[0] not in sys.stdlib_module_names:
            # as Python would: the first folder that has it
            place = next((p for f in folders if (p := _in_folder(f, bare))), None)
        if place is not None and _counts(inside, place):
            yield inside, place


def _in_folder(folder: Path, name: str) -> Path | None:
    """The file of a module below a folder: a package, a source, an extension; None for others."""
    base = folder.joinpath(*name.split(".")) if name else folder
    files = [base / "__init__.py"]
    if name:
        files += [base.with_name(base.name + end) for end in all_suffixes()]
    return next((file for file in files if file.is_file()), None)


def _module_file(name: str) -> Path | None:
    if _is_ours(name):
        return _project_file(name)
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file) if file else None


@lru_cache(maxsize=4096)
def _project_file(name: str) -> Path | None:
    return _in_folder(PACKAGE.parent, name)


@lru_cache(maxsize=4096)
def _imported(file: Path, changed: int) -> tuple[str, ...]:
    """The dotted names that a file imports, with leading dots where they are relative.

    Of `from a import b` both `a` and `a.b`, which may be a module, too.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return ()  # it could not have been imported
    names: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            positive = isinstance(node.test, (ast.Name, ast.Attribute))
            waiting += node.orelse if positive else [*node.body, *node.orelse]
            continue
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            joint = "." if node.module else ""
            names |= dict.fromkeys([base, *(f"{base}{joint}{a.name}" for a in node.names)])
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rpartition(".")[2]
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                names[str(first.value)] = None
        waiting += ast.iter_child_nodes(node)
    return tuple(names)
