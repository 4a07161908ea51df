"""Brings in users' modules: `--user_dir` and the entry-point group `collavo.plugins`.

A plug-in is ordinary Python that registers on import: `DatasetCatalog.register(...)`,
`@PIPELINES.register("name")`, `@EVALUATORS.register(...)`, `@ARCHITECTURES.register(...)`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from collavo.config.paths import PACKAGE
from collavo.errors import MissingFileError, UserError

logger = logging.getLogger(__name__)

GROUP = "collavo.plugins"

_NOT_PLUGINS = ("__init__", "setup", "conftest")

_OURS = ("<frozen", str(PACKAGE), importlib.__path__[0])
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
"""Where code lies that is no plug-in; installed plug-ins lie among the libraries."""

_loaded: dict[str, list[str]] = {}


class PluginError(UserError):
    """A plug-in that fails while it is imported; the message says in which file and line."""


def load_plugins(user_dir: str = "") -> None:
    """Loads every installed plug-in and the user's own, each once in a process.

    Args:
        user_dir: A folder (each .py file directly in it is imported; with an `__init__.py` it is
            imported as a package first), a .py file, or the dotted name of an importable package.
            Several stand between commas.

    Raises:
        MissingFileError: There is no such file, folder or package.
        PluginError: A plug-in raised an error.
    """
    points = entry_points(group=GROUP)
    if points or user_dir:
        # built-in names come first: where one is taken twice, the plug-in is at fault
        from collavo.datasets.registration.catalog import ensure_registered

        ensure_registered()
    for point in points:
        if point.name not in _loaded:
            loaded = _guard(f"entry point {point.name!r} ({point.value})", point.load)
            # a function registers when called; a module has done so by now
            if callable(loaded):
                _guard(f"entry point {point.name!r} ({point.value})", loaded)
            _loaded[point.name] = [point.value]
    for one in filter(None, (part.strip() for part in user_dir.split(","))):
        load_user_dir(one)


def packages() -> frozenset[str]:
    """The outermost packages of the plug-ins that are loaded; they may lie among the libraries."""
    return frozenset(
        name.split(":")[0].split(".")[0] for names in _loaded.values() for name in names
    )


def modules() -> list[str]:
    """The names of the modules of the plug-ins that are loaded."""
    return [name.split(":")[0] for names in _loaded.values() for name in names]


def load_user_dir(user_dir: str) -> list[str]:
    """Imports one user folder, file or package and returns the names of its modules.

    Raises:
        MissingFileError: There is no such file, folder or package.
        PluginError: A module raised an error; the message names its file and line.
    """
    path = Path(user_dir).expanduser()
    key = str(path.resolve()) if path.exists() else user_dir
    if key not in _loaded:
        if path.is_dir():
            _loaded[key] = _load_folder(path.resolve())
        elif path.is_file():
            _loaded[key] = [_load_file(path.resolve())]
        else:
            _loaded[key] = [_load_package(user_dir)]
        logger.info("loaded %s from %s", ", ".join(_loaded[key]) or "nothing", user_dir)
    return _loaded[key]


def _load_file(file: Path) -> str:
    if file.suffix != ".py":
        raise MissingFileError(f"--user_dir {file} is not a .py file, a folder or a package")
    name = f"{_unique(file.parent)}.{file.stem}"
    _ensure_package(file.parent)
    _guard(str(file), lambda: importlib.import_module(name))
    return name


def _load_folder(folder: Path) -> list[str]:
    """Imports a folder as a package of a name of its own, so that `from . import` works in it."""
    package = _ensure_package(folder)
    files = [f for f in sorted(folder.glob("*.py")) if f.stem not in _NOT_PLUGINS]
    if not files and not (folder / "__init__.py").is_file():
        raise MissingFileError(f"--user_dir {folder} holds no .py file")
    return [package, *(_load_file(file) for file in files)]


def _ensure_package(folder: Path) -> str:
    name = _unique(folder)
    if name in sys.modules:
        return name
    # behind everything else, so that plug-ins can import their neighbours and shadow nothing
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    init = folder / "__init__.py"
    if not init.is_file():
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
        return name
    spec = importlib.util.spec_from_file_location(
        name, init, submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None, "the file exists and ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader = spec.loader
    try:
        _guard(str(init), lambda: loader.exec_module(module))
    except PluginError:
        del sys.modules[name]
        raise
    return name


def _load_package(name: str) -> str:
    well_formed = all(part.isidentifier() for part in name.split("."))
    missing = MissingFileError(
        f"--user_dir {name!r} is neither a folder, a .py file nor an importable package "
        f"(looked from {Path.cwd()})"
    )
    if not well_formed:
        raise missing
    parent = name.rpartition(".")[0]
    if parent:
        _load_package(parent)
    if importlib.util.find_spec(name) is None:
        raise missing
    _guard(f"package {name!r}", lambda: importlib.import_module(name))
    return name


def _unique(folder: Path) -> str:
    """The module name of a folder: folders of one name at two places stay apart."""
    slug = re.sub(r"\W", "_", folder.name) or "root"
    return f"collavo_user_{slug}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def _guard(what: str, load: Callable[[], Any]) -> Any:
    """Calls `load`; any error of the user's code becomes one that names its file and line.

    The line is the plug-in's own, also where it was our code or a library that raised.
    """
    try:
        return load()
    except UserError:
        raise
    except Exception as error:  # whatever a user's module raises
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if not f.filename.startswith(_OURS)]
        theirs = [f for f in theirs if not f.filename.startswith(_LIBRARIES)] or theirs
        if isinstance(error, SyntaxError) and error.filename:
            where = f"{error.filename}, line {error.lineno}"
        else:
            where = f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else what
        raise PluginError(
            f"plug-in {what} failed at {where}: {type(error).__name__}: {error}"
        ) from error
