"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: xdist gives each core a process
os.environ.setdefault("COLLAVO_PULSE", "off")  # how slow the machine is must not show in stderr

from collavo import plugins, registry
from collavo.datasets.registration import roots
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog, ensure_registered

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers of the original implementation; see tests/golden/README.md."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real question files and published answers, where they are at hand."""
    folder = Path(os.environ.get("COLLAVO_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder}: set COLLAVO_SHARED to their folder")
    return folder


@pytest.fixture(scope="module", autouse=True)
def roots_stay_in_their_module() -> Iterator[None]:
    """Forgets the root that a command named, so that no file of tests works on that of another."""
    roots.use_root("")
    yield
    roots.use_root("")


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No root is set, and none is left behind."""
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    roots.use_root("")


@pytest.fixture(scope="module", autouse=True)
def plugins_stay_in_their_module() -> Iterator[None]:
    """Removes what plug-ins registered, so that no file of tests sees those of another."""
    ensure_registered()
    datasets, loaded = set(DatasetCatalog.list()), set(plugins._loaded)
    registries = [v for v in vars(registry).values() if isinstance(v, registry.Registry)]
    names = [{e.name for e in r.entries()} for r in registries]
    yield
    for name in set(DatasetCatalog.list()) - datasets:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    for one, before in zip(registries, names, strict=True):
        for name in {e.name for e in one.entries()} - before:
            one.remove(name)
    for key in set(plugins._loaded) - loaded:
        del plugins._loaded[key]
    for name in [n for n in sys.modules if n.startswith("collavo_user_")]:
        del sys.modules[name]
