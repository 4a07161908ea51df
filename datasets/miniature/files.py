"""Writes the kinds of files that benchmarks come in."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Writes JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes tab-separated values with a header, quoted as pandas does; None is an empty cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, dialect="excel-tab", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(
    path: Path, rows: Sequence[Mapping[str, Any]], images: Sequence[str], **types: Any
) -> None:
    """Writes a parquet file as Hugging Face datasets have it.

    Args:
        path: The file.
        rows: Its rows, all with the same fields.
        images: The fields that are images: `{"bytes": ..., "path": ...}` or None.
        types: The pyarrow types of fields that hold None alone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    known = {**dict.fromkeys(images, image), **types}
    columns = {name: pa.array([row[name] for row in rows], known.get(name)) for name in rows[0]}
    pq.write_table(pa.table(columns), path)


def encoded(image: Image.Image, form: str = "JPEG") -> bytes:
    """Returns the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format=form, **({"quality": 90} if form == "JPEG" else {}))
    return buffer.getvalue()


def in_base64(image: Image.Image) -> str:
    """Returns a JPEG file as text, as tables of questions hold their images."""
    return base64.b64encode(encoded(image)).decode("ascii")


def cell(image: Image.Image, name: str) -> dict[str, Any]:
    """Returns a parquet cell of an image, PNG."""
    return {"bytes": encoded(image, "PNG"), "path": name}
