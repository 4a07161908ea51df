"""What the tests of datasets share: a clean root, and writers of small files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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


@pytest.fixture
def png() -> bytes:
    """An encoded image of 40 x 20 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def write_tree(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes JSON lines (.jsonl), text, or else JSON; the test's folder becomes the root."""

    def write(name: str, value: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jsonl"):
            value = "".join(json.dumps(row) + "\n" for row in value)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        roots.use_root(tmp_path)
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], Path]:
    """Writes rows as parquet below the test's folder."""

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path

    return write
