"""Reads Hugging Face datasets from their parquet files; images are read row group by row group.

Source: the image feature of Hugging Face datasets, a struct of `bytes` and `path`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.datasets.registration.readers.opened import note_opened
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.roots import image_below
from collavo.errors import DataError, MissingFileError, UserError
from collavo.records import ImageRef

if TYPE_CHECKING:
    import pyarrow

CACHE_BYTES = 256 << 20
"""Encoded images kept of the row groups that were read last."""


def parquet_rows(
    files: Iterable[Path], image_root: Path | None = None, find_images: bool = True
) -> Iterator[Row]:
    """Yields the rows of parquet files in order.

    Columns of images (structs of `bytes` and `path`, or binary) become ImageRefs, tuples of them
    for lists, None where there is none; their bytes stay in the file until they are asked for.
    Where a row group has paths without any bytes, as Hugging Face writes local files, they are
    ImageRefs of files.

    Args:
        files: The files.
        image_root: Below which images lie that a table only names; by default the file's folder,
            or the one above it where that is called "data". No path leaves it; see `image_below`.
        find_images: Whether those are wanted: if not, their paths are not looked at.

    Raises:
        MissingFileError: A file is not there.
        DataError: A file is broken, or an image's path leaves the folder; the message names it.
    """
    for file in files:
        yield from _rows_of(file, image_root or image_folder(file), find_images)


def image_folder(file: Path) -> Path:
    """Below which images lie that a table only names, where nothing is said."""
    return file.parent.parent if file.parent.name == "data" else file.parent


def named_images(file: Path, column: str) -> Iterator[str]:
    """Yields the paths that an image column names, beside bytes or in their stead.

    Args:
        file: A parquet file.
        column: Texts, structs with `path`, or lists of either.
    """
    import pyarrow.parquet as pq

    reader = pq.ParquetFile(file)
    leaves = [reader.schema.column(k) for k in range(len(reader.schema))]
    texts = [leaf.path for leaf in leaves if str(leaf.logical_type) == "String"]
    wanted = [
        path
        for path in texts
        if path == column
        or (path.startswith(f"{column}.") and path.endswith((".path", ".element")))
    ]
    for batch in reader.iter_batches(columns=wanted) if wanted else ():
        yield from _texts_in(batch.to_pylist())


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(item)


def _rows_of(file: Path, root: Path, find_images: bool) -> Iterator[Row]:
    note_opened(file)
    with _guarded(file):
        import pyarrow.parquet as pq

        source = pq.ParquetFile(file, memory_map=False)
        schema = source.schema_arrow
        images = {name: kind for name in schema.names if (kind := _kind(schema.field(name).type))}
        leaves = [source.schema.column(k).path for k in range(len(source.schema))]
        groups = source.num_row_groups
    light = [leaf for leaf in leaves if not _is_heavy(leaf, images)]
    number = 0
    for group in range(groups):
        with _guarded(file):
            table = source.read_row_group(group, columns=light)
            listed = table.to_pylist()
            count = source.metadata.row_group(group).num_rows
            named = _names_alone(source.metadata.row_group(group)) if find_images else set()
        for row in range(count):
            number += 1
            place = f"{file}, row {number}"
            values = {name: listed[row].get(name) if light else None for name in schema.names}
            for name, kind in images.items():
                there = name in table.column_names
                if there and name in named:
                    values[name] = _files(file, root, values[name], place)
                    continue
                cell = ParquetCell(file, group, row, name, root=root)
                values[name] = _refs(cell, kind, values[name], there, number)
            yield Row(place, values)


def _kind(type_: pyarrow.DataType) -> str:
    """Tells how a column holds images: "struct", "binary", "list" of structs, or not at all."""
    import pyarrow as pa

    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return "binary"
    if pa.types.is_struct(type_) and "bytes" in {field.name for field in type_}:
        return "struct"
    if (pa.types.is_list(type_) or pa.types.is_large_list(type_)) and _kind(type_.value_type):
        return "list"
    return ""


def _is_heavy(leaf: str, images: dict[str, str]) -> bool:
    """Tells whether a parquet column holds the bytes of images."""
    name = next((n for n in images if leaf == n or leaf.startswith(f"{n}.")), None)
    if name is None:
        return False
    return images[name] == "binary" or not leaf.endswith(".path")


def _names_alone(group: Any) -> set[str]:
    """The columns whose images have no bytes in a row group: their statistics say so."""
    found = set()
    for number in range(group.num_columns):
        column = group.column(number)
        name, _, leaf = column.path_in_schema.partition(".")
        counts = column.statistics if leaf.rpartition(".")[2] == "bytes" else None
        if counts and counts.has_null_count and counts.null_count == column.num_values:
            found.add(name)
    return found


def _files(
    file: Path, root: Path, light: Any, place: str
) -> ImageRef | tuple[ImageRef, ...] | None:
    """Refers to the files that a cell names, of which `light` holds the paths.

    Raises:
        DataError: A path leaves `root`.
    """
    if isinstance(light, list):
        found = (_files(file, root, item, place) for item in light)
        return tuple(ref for ref in found if isinstance(ref, ImageRef))
    path = light.get("path") if isinstance(light, dict) else None
    return image_below(root, path, (file.parent, root), place) if path else None


def _refs(
    cell: ParquetCell, kind: str, light: Any, there: bool, number: int
) -> ImageRef | tuple[ImageRef, ...] | None:
    """Refers to the image(s) of one cell, of which `light` holds all but the bytes."""
    if there and light is None:
        return None
    if kind == "list":
        items = light if isinstance(light, list) else cell.items()
        return tuple(_ref(replace(cell, item=k), item, number) for k, item in enumerate(items))
    return _ref(cell, light, number)


def _ref(cell: ParquetCell, light: Any, number: int) -> ImageRef:
    path = light.get("path") if isinstance(light, dict) else None
    item = "" if cell.item is None else f" {cell.item + 1}"
    return ImageRef(cell=cell, name=path or f"{cell.file.name}, row {number}, {cell.column}{item}")


@dataclass(frozen=True)
class ParquetCell:
    """An image in a parquet file.

    Args:
        file: The file.
        group: Its row group.
        row: The row within the group.
        column: The column.
        item: Which of a list's images; None where the cell is one.
        root: Below which an image lies that the table only names; None for the file's folder.
    """

    file: Path
    group: int
    row: int
    column: str
    item: int | None = None
    root: Path | None = None

    def __call__(self) -> bytes:
        """Reads the image.

        Raises:
            DataError: The file is broken, or the cell holds no image.
        """
        value = self._value()
        if self.item is not None:
            value = value[self.item] if value is not None and self.item < len(value) else None
        if isinstance(value, dict):
            value = value.get("bytes") or self._named(value.get("path"))
        if isinstance(value, str):
            value = self._named(value)
        if not isinstance(value, bytes):
            raise DataError(f"{self._place}: column {self.column!r} holds no image")
        return value

    def items(self) -> Sequence[Any]:
        """Returns a list cell's images as they are stored."""
        return self._value() or ()

    @property
    def _place(self) -> str:
        return f"{self.file}, row group {self.group}, row {self.row + 1} of it"

    def _value(self) -> Any:
        column = _groups.column(self.file, self.group, self.column)
        if self.row >= len(column):
            raise DataError(f"{self._place}: the file has changed since it was read")
        return column[self.row].as_py()

    def _named(self, path: Any) -> bytes | None:
        """Reads an image that the table only names, as Hugging Face writes those of local files.

        Raises:
            DataError: The path leaves the dataset's folder, or nothing can be read there.
        """
        if not isinstance(path, str) or not path:
            return None
        root = self.root or self.file.parent
        ref = image_below(root, path, (self.file.parent, root), self._place)
        try:
            return ref.read()
        except OSError as error:
            raise DataError(
                f"{self._place}: image {path!r:.120} cannot be read: {error}"
            ) from error


def group_column(file: Path, group: int, column: str) -> pyarrow.ChunkedArray:
    """Returns one column of one row group, from memory if it was read lately.

    Raises:
        MissingFileError: The file is not there.
        DataError: It is broken.
    """
    return _groups.column(file, group, column)


class _Groups:
    """The image columns of the row groups that were read last, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def column(self, file: Path, group: int, column: str) -> Any:
        """Returns one column of one row group."""
        with self._lock, _guarded(file):
            info = file.stat()
            key = (str(file), info.st_mtime_ns, info.st_size, group, column)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            import pyarrow.parquet as pq

            with pq.ParquetFile(file, memory_map=False) as source:
                table = source.read_row_group(group, columns=[column])
            found = self._kept[key] = table.column(column)
            while len(self._kept) > 1 and sum(c.nbytes for c in self._kept.values()) > CACHE_BYTES:
                self._kept.popitem(last=False)
            return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _Groups, ()


_groups = _Groups()


class _guarded:
    """Words what pyarrow raises of a broken file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # pyarrow's own errors are ValueError, OSError, KeyError, TypeError, MemoryError and ...
        known = (OSError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError)
        own = type(error).__module__.startswith("pyarrow")
        if error is None or isinstance(error, UserError) or not (own or isinstance(error, known)):
            return
        if isinstance(error, FileNotFoundError):
            raise MissingFileError(f"{self._file} is not there") from error
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"{self._file} cannot be read as parquet: {what}; fetch it again"
        ) from error
