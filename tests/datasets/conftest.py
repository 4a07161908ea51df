"""What the tests of datasets share: a clean root, and writers of small files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration import roots


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins without a root, and leaves none behind."""
    for name in roots.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    roots.use_root("")
    yield
    roots.use_root("")


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[str, list[Any]], Path]:
    """Writes rows as JSON lines below the test's folder."""

    def write(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
