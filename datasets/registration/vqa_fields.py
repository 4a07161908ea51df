"""What the registrations of free-form benchmarks share: fields of rows, files, ids and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answers import KNOWN_SUFFIXES
from collavo.datasets.registration.readers.literals import listed
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.roots import image_ref, root
from collavo.errors import DataError
from collavo.records import ImageRef


class SampleIds:
    """Makes ids unique: a key that occurs again gets "#2", "#3", ...

    Args:
        dataset: What every id begins with.
    """

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._seen: Counter[str] = Counter()

    def of(self, key: str | int) -> str:
        """Returns the id of the next sample with this key."""
        name = f"{self._dataset}:{key}"
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}#{self._seen[name]}"


class Images:
    """The images of a dataset in the first of some folders that is there; one ref an image.

    Args:
        folders: The folders, the usual one first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        listed = list(folders)
        self.folder = next((folder for folder in listed if folder.is_dir()), listed[0])
        self._refs: dict[str, ImageRef] = {}

    def ref(self, name: str, place: str) -> ImageRef:
        """Refers to one image.

        Raises:
            DataError: The name leads out of the folder.
        """
        if name not in self._refs:
            self._refs[name] = image_ref(self.folder, name, place)
        return self._refs[name]


def below(folder: Path, *names: str) -> list[Path]:
    """The folders `names` below a dataset's folder and then below the root."""
    return [folder / name for name in names] + [root().path / name for name in names]


def home_of(file: Path, *inner: str) -> Path:
    """The dataset's folder of a file that may lie in one of the folders `inner` of it."""
    return file.parent.parent if file.parent.name in inner else file.parent


def asked_in(prompt: str, *further: str) -> str:
    """Returns the question of a prompt of LLaVA's lists, with the spaces at its end.

    Args:
        prompt: The question and the instructions behind it, each on a line of its own.
        further: Instructions besides the known ones.
    """
    lines = prompt.split("\n")
    while len(lines) > 1 and lines[-1].strip() in (*KNOWN_SUFFIXES, *further):
        lines.pop()
    return "\n".join(lines)


def texts_of(row: Row, *names: str, lists: bool = False) -> tuple[str, ...]:
    """Returns the references of a row: texts, numbers, VQA's objects with `answer`, or none.

    Args:
        row: The row.
        names: The fields that may hold them.
        lists: Whether a text that is a Python list counts as the list, as in VLMEvalKit's tables.

    Raises:
        DataError: The field is there and is nothing of this kind.
    """
    name = next((n for n in names if row.values.get(n) is not None), None)
    if name is None:
        return ()
    value = row.values[name]
    if lists:
        value = listed(value)
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(_text(x, row, name) for x in values)


def _text(value: Any, row: Row, name: str) -> str:
    if isinstance(value, Mapping):
        value = value.get("answer")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(
            f"{row.place}: field {name!r} must hold texts (or objects with 'answer'), got {value!r}"
        )
    return str(value)


def mapping_of(row: Row, name: str) -> Mapping[str, Any]:
    """Returns an object field, empty where there is none.

    Raises:
        DataError: It is no object.
    """
    value = row.values.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{row.place}: field {name!r} must be an object, got {value!r}")
    return value


def list_of(row: Row, name: str) -> Sequence[Any]:
    """Returns a list field, empty where there is none.

    Raises:
        DataError: It is no list.
    """
    value = row.values.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise DataError(f"{row.place}: field {name!r} must be a list, got {value!r}")
    return value


def rows_in(value: Any, path: Path, *names: str) -> list[Row]:
    """Returns the rows of a JSON value: the list itself, or that in the first field of `names`.

    Raises:
        DataError: It is no list of objects.
    """
    if isinstance(value, Mapping):
        name = next((n for n in names if n in value), None)
        if name is None:
            found = ", ".join(map(repr, list(value)[:10])) or "no fields"
            wanted = " or ".join(map(repr, names))
            raise DataError(f"{path}: no field {wanted}; it has {found}")
        value = value[name]
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of objects, got {type(value).__name__}")
    rows = []
    for number, values in enumerate(value, start=1):
        if not isinstance(values, dict):
            raise DataError(f"{path}, row {number}: expected an object, got {values!r}"[:300])
        rows.append(Row(f"{path}, row {number}", values))
    return rows
