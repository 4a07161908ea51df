"""Turns the rows of a registered dataset into samples.

The fields of a dict row:

- `question` (needed): the question as it is asked.
- `image` or `file_name` (needed; `image: None` asks without an image): a path, below the
  metadata's `image_root` where that is set and else relative to the working folder; encoded
  bytes; a dict with `bytes` or `path`, as Hugging Face datasets have them; a PIL image; an
  `ImageRef`.
- `answers` (several) or `answer` (one): the references. None or absent where they are hidden.
- `question_id`: the dataset's own id; the row's number from 0 where absent.
- `sample_id`: unique in the dataset; `<dataset>:<question_id>` where absent.
- `options`, `category`: as in `Sample`.
- Every other field goes into `Sample.extra`.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_FIELDS = frozenset(
    "sample_id question_id question image images file_name answers answer options category".split()
)
_SHOWN = 10
"""Ids listed in a message before it says how many more there are."""


def to_samples(name: str, rows: Any, image_root: str | Path | None = None) -> list[Sample]:
    """Turns the rows of dataset `name` into samples with unique ids.

    Args:
        name: The dataset, for ids and messages.
        rows: What the registered function returned: `Sample`s or dicts.
        image_root: The folder that relative image paths are in; no path may leave it.

    Raises:
        DataError: A row lacks a needed field or has one of the wrong type, or ids repeat.
    """
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise DataError(
            f"dataset {name!r}: its function must return a list of dicts or Samples, "
            f"got {type(rows).__name__}"
        )
    root = Path(image_root).expanduser() if image_root else None
    samples = [
        row if isinstance(row, Sample) else _sample(name, index, row, root)
        for index, row in enumerate(rows)
    ]
    repeated = [i for i, n in Counter(s.sample_id for s in samples).items() if n > 1]
    if repeated:
        more = f" and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
        raise DataError(
            f"dataset {name!r} has {len(repeated)} sample ids that repeat: "
            f"{', '.join(repeated[:_SHOWN])}{more}; give each row a sample_id of its own"
        )
    return samples


def _sample(name: str, index: int, row: Any, root: Path | None) -> Sample:
    where = f"dataset {name!r}, row {index}"
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: a row must be a dict or a Sample, got {type(row).__name__}")
    question = row.get("question")
    if question is None:
        raise DataError(f"{where} has no field 'question'; it has: {_names(row)}")
    question_id = row.get("question_id", index)
    return Sample(
        sample_id=_text(where, "sample_id", row.get("sample_id", f"{name}:{question_id}")),
        images=_images(where, row, root),
        question=_text(where, "question", question),
        question_id=_id(where, question_id),
        options=_texts(where, "options", row.get("options")),
        answers=_texts(where, "answers", row["answers"] if "answers" in row else row.get("answer")),
        category=_text(where, "category", row.get("category") or ""),
        extra={k: v for k, v in row.items() if k not in _FIELDS},
    )


def _images(where: str, row: Mapping[str, Any], root: Path | None) -> tuple[ImageRef, ...]:
    if row.get("images") is not None:
        if row.get("image") is not None or row.get("file_name") is not None:
            raise DataError(f"{where} has images beside image or file_name; keep one of them")
        if not isinstance(row["images"], list | tuple):
            raise DataError(f"{where}: 'images' must be a list, got {row['images']!r:.60}")
        refs = [_image(where, value, root) for value in row["images"]]
        if any(ref is None for ref in refs):
            raise DataError(f"{where}: 'images' holds None; leave out what is no image")
        return tuple(ref for ref in refs if ref is not None)
    if not any(name in row for name in ("images", "image", "file_name")):
        raise DataError(
            f"{where} has no field 'image' (or 'images', 'file_name'); it has: {_names(row)}. "
            "A question without an image says so with image: None"
        )
    return one_image(_image(where, row.get("image", row.get("file_name")), root))


def _image(where: str, value: Any, root: Path | None) -> ImageRef | None:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is None or isinstance(value, ImageRef):
        return value
    if isinstance(value, bytes):
        return ImageRef(data=value, name=f"{where}, image")
    if isinstance(value, (str, Path)) and str(value):
        if root is not None:
            return image_below(root, str(value), root, where)
        return ImageRef(path=Path(value).expanduser())  # the function's own word, wherever it leads
    if hasattr(value, "save") and hasattr(value, "mode"):
        return ImageRef(cell=lambda: _encode(value), name=f"{where}, image")
    raise DataError(
        f"{where}: 'image' must be a path, bytes, a PIL image or None, got {type(value).__name__}"
    )


def _encode(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _text(where: str, field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {field!r} must be text, got {value!r}")
    return value


def _texts(where: str, field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, (list, tuple)) else [value]
    # a number is a fair answer to "how many"; a bool would be ambiguous with yes and no
    if any(isinstance(v, bool) or not isinstance(v, (str, int, float)) for v in values):
        raise DataError(f"{where}: {field!r} must be text or a list of texts, got {value!r}")
    return tuple(str(v) for v in values)


def _id(where: str, value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"{where}: 'question_id' must be text or a whole number, got {value!r}")
    return value


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(str(key) for key in row) or "no field at all"
