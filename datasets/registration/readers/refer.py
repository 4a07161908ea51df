"""Reads the release of RefCOCO's authors: references in a pickle, boxes in COCO's format.

Source: format of lichengunc/refer.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from collavo.datasets.registration.readers.rows import Row, read_json
from collavo.datasets.registration.readers.text import read_bytes
from collavo.errors import DataError


@dataclass(frozen=True)
class Referred:
    """One sentence and the box of what it refers to.

    Args:
        key: The sentence's id.
        sentence: What it says.
        image: The file name in COCO train2014.
        box: (x1, y1, x2, y2) in pixels.
        size: Width and height of the image.
        place: File and record, for messages.
    """

    key: int | str
    sentence: str
    image: str
    box: tuple[float, ...]
    size: tuple[float, float]
    place: str


class _PlainData(pickle.Unpickler):
    """Reads lists, dicts, texts and numbers, and nothing that runs code."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it holds an object of {module_name}.{global_name}")


def read_refer(references: Path, instances: Path, split: str) -> Iterator[Referred]:
    """Yields the sentences of one split.

    Args:
        references: `refs(unc).p` or `refs(umd).p`.
        instances: `instances.json`.
        split: "val", "testA", "testB" or "test".

    Raises:
        MissingFileError: A file is not there.
        DataError: A file is broken, or holds anything but plain data.
    """
    images, boxes = _instances(instances)
    for row in _references(references):
        if row.values.get("split") != split:
            continue
        box, image = boxes.get(str(row.key("ann_id"))), images.get(str(row.key("image_id")))
        if box is None or image is None:
            raise DataError(f"{row.place}: {instances.name} has no such annotation or image")
        name, size = image
        sentences = row.need("sentences")
        if not isinstance(sentences, list) or not all(isinstance(x, dict) for x in sentences):
            raise DataError(f"{row.place}: 'sentences' must be a list of objects")
        for sentence in (Row(row.place, values) for values in sentences):
            text = sentence.text("sent", "raw")
            yield Referred(sentence.key("sent_id"), text, name, box, size, row.place)


def _references(file: Path) -> list[Row]:
    data = read_bytes(file)
    try:
        # The files are of Python 2, whose texts are bytes.
        listed = _PlainData(io.BytesIO(data), encoding="latin-1").load()
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, MemoryError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise DataError(f"{file} cannot be read as a pickle of plain data: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(x, dict) for x in listed):
        raise DataError(f"{file}: expected a list of objects")
    return [Row(f"{file}, record {n}", values) for n, values in enumerate(listed, start=1)]


def _instances(file: Path) -> tuple[dict[str, Any], dict[str, tuple[float, ...]]]:
    """Returns name and size of each image by id, and the box of each annotation by id."""
    value = read_json(file)
    lists = [value.get(n) if isinstance(value, dict) else None for n in ("images", "annotations")]
    if not all(isinstance(x, list) and all(isinstance(y, dict) for y in x) for x in lists):
        raise DataError(f"{file}: expected an object with the lists 'images' and 'annotations'")
    images: dict[str, Any] = {}
    boxes: dict[str, tuple[float, ...]] = {}
    for number, values in enumerate(lists[0] or (), start=1):
        row = Row(f"{file}, image {number}", values)
        size = tuple(_number(row, name) for name in ("width", "height"))
        if min(size) <= 0:
            raise DataError(f"{row.place}: 'width' and 'height' must be positive, got {size}")
        images[str(row.key("id"))] = (row.text("file_name"), size)
    for number, values in enumerate(lists[1] or (), start=1):
        row = Row(f"{file}, annotation {number}", values)
        box = row.need("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(f"{row.place}: 'bbox' must be a list of four numbers, got {box!r:.80}")
        x, y, width, height = (_number(Row(row.place, {"bbox": v}), "bbox") for v in box)
        boxes[str(row.key("id"))] = (x, y, x + width, y + height)
    return images, boxes


def _number(row: Row, name: str) -> float:
    value = row.need(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise DataError(f"{row.place}: {name!r} must be a number, got {value!r:.60}")
    return float(value)
