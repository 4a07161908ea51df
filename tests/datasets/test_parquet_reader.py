"""Local copies of Hugging Face datasets: images are read row group by row group, on demand."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collavo.datasets.registration.readers import parquet
from collavo.datasets.registration.readers.cells import cell_ref, cell_refs
from collavo.datasets.registration.readers.hub import hf_configs, hf_files, hf_rows
from collavo.datasets.registration.readers.parquet import parquet_rows
from collavo.errors import DataError, MissingFileError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        *(("question_id", pa.int64()), ("question", pa.string()), ("image", IMAGE)),
        *(("images", pa.list_(IMAGE)), ("raw", pa.binary()), ("options", pa.list_(pa.string()))),
    ]
)


def picture(number: int) -> bytes:
    return b"picture %d " % number * 1000


def row(number: int) -> dict[str, Any]:
    return {
        "question_id": number,
        "question": f"q{number}",
        "image": None if number == 3 else {"bytes": picture(number), "path": f"{number}.jpg"},
        "images": [{"bytes": picture(k), "path": None} for k in range(number % 3)],
        "raw": picture(100 + number),
        "options": ["a", "b"],
    }


def write(path: Path, numbers: range, schema: pa.Schema = SCHEMA, group: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([row(n) for n in numbers], schema=schema)
    pq.write_table(table, path, row_group_size=group)
    return path


def test_rows_and_images(tmp_path: Path) -> None:
    write(tmp_path / "data/test-00000-of-00002.parquet", range(5))
    write(tmp_path / "data/test-00001-of-00002.parquet", range(5, 8))
    rows = list(hf_rows(tmp_path, "test"))
    assert [r.key("question_id") for r in rows] == list(range(8))
    assert rows[6].place == f"{tmp_path}/data/test-00001-of-00002.parquet, row 2"
    assert rows[6].values["options"] == ["a", "b"]
    for number, r in enumerate(rows):
        ref = cell_ref(r, "image")
        assert (ref is None) == (number == 3)
        if ref is not None:
            assert ref.read() == picture(number)
            assert ref.name == f"{number}.jpg"
        assert [x.read() for x in cell_refs(r, "images")] == [picture(k) for k in range(number % 3)]
        (raw,) = cell_refs(r, "raw")
        assert raw.read() == picture(100 + number)
    assert cell_refs(rows[2], "images")[1].name == "test-00000-of-00002.parquet, row 3, images 2"


def test_images_are_not_read_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "test.parquet", range(6))
    asked: list[Any] = []
    inner = pq.ParquetFile.read_row_group

    def watched(self: Any, group: int, columns: list[str]) -> Any:
        asked.append((group, columns))
        return inner(self, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    rows = list(parquet_rows([file]))
    assert not [
        leaf for _, columns in asked for leaf in columns if "bytes" in leaf or leaf == "raw"
    ]
    asked.clear()
    ref = cell_ref(rows[5], "image")
    assert ref is not None and ref.read() == picture(5)
    assert asked == [(2, ["image"])]
    assert ref.read() == picture(5)
    assert len(asked) == 1, "the row group read last is kept"


def test_cells_go_to_other_processes_and_threads(tmp_path: Path) -> None:
    file = write(tmp_path / "test.parquet", range(12))
    rows = list(parquet_rows([file]))
    refs = [pickle.loads(pickle.dumps(cell_ref(r, "raw"))) for r in rows]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda ref: ref.read(), refs * 5))
    assert read == [picture(100 + n) for n in range(12)] * 5
    assert pickle.loads(pickle.dumps(parquet._groups)) is not None


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "CACHE_BYTES", 100_000)
    monkeypatch.setattr(parquet, "_groups", parquet._Groups())
    rows = list(parquet_rows([write(tmp_path / "test.parquet", range(40))]))
    for r in rows:
        for ref in cell_refs(r, "raw"):
            ref.read()
    kept = parquet._groups._kept
    assert 1 <= len(kept) < 20
    assert sum(column.nbytes for column in kept.values()) <= 100_000


def test_images_without_names_and_beside_the_table(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([{"bytes": picture(1)}, None], pa.struct([SCHEMA_BYTES]))})
    pq.write_table(table, tmp_path / "bytes.parquet")
    first, second = parquet_rows([tmp_path / "bytes.parquet"])
    ref = cell_ref(first, "image")
    assert ref is not None and ref.read() == picture(1)
    assert ref.name == "bytes.parquet, row 1, image"
    absent = cell_ref(second, "image")
    if absent is not None:
        with pytest.raises(DataError, match="row 2 of it: column 'image' holds no image"):
            absent.read()
    (tmp_path / "beside.jpg").write_bytes(b"beside")
    # with bytes in the same row group a path is only looked at when the image is read
    names = [{"bytes": None, "path": p} for p in ("beside.jpg", "../x.jpg", "gone.jpg")]
    images = [*names, {"bytes": picture(1), "path": "1.jpg"}]
    pq.write_table(pa.table({"image": pa.array(images, IMAGE)}), tmp_path / "paths.parquet")
    refs = [cell_ref(r, "image") for r in parquet_rows([tmp_path / "paths.parquet"])]
    assert refs[0] is not None and refs[0].read() == b"beside"
    for ref, said in zip(refs[1:3], ("leaves the dataset folder", "cannot be read"), strict=True):
        with pytest.raises(DataError, match=said):
            assert ref is not None
            ref.read()


SCHEMA_BYTES = ("bytes", pa.binary())


@pytest.mark.parametrize(
    ("place", "config"),
    [
        ("data/test-00000-of-00001-0123456789abcdef.parquet", None),
        ("test.parquet", None),
        ("default/test-00000-of-00001.parquet", None),
        ("test/0000.parquet", None),
        ("Full/test-00000-of-00001.parquet", "Full"),
        ("snapshots/abc/data/test-00000-of-00001.parquet", None),
    ],
)
def test_where_files_are_found(tmp_path: Path, place: str, config: str | None) -> None:
    file = write(tmp_path / place, range(2))
    write(file.parent / "test-dev-00000-of-00001.parquet", range(1))
    write(file.parent / "testmini-00000-of-00001.parquet", range(1))
    if place != "test/0000.parquet":
        assert hf_files(tmp_path, "test", config) == [file]
    else:
        (file.parent / "test-dev-00000-of-00001.parquet").unlink()
        (file.parent / "testmini-00000-of-00001.parquet").unlink()
        assert hf_files(tmp_path, "test", config) == [file]
    assert hf_files(tmp_path, "validation", config) is None
    assert hf_files(tmp_path / "nowhere", "test", config) is None


def test_configs_are_listed(tmp_path: Path) -> None:
    for name in ("Art", "Accounting"):
        write(tmp_path / name / "validation-00000-of-00001.parquet", range(1))
    (tmp_path / "images").mkdir()
    assert hf_configs(tmp_path, "validation") == ["Accounting", "Art"]
    assert hf_configs(tmp_path / "nowhere", "validation") == []


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no parquet files of the split 'test': looked for"):
        hf_rows(tmp_path, "test")
    write(tmp_path / "data/test-00001-of-00003.parquet", range(1))
    with pytest.raises(MissingFileError, match=r"2 of the 3 files .* test-00000-of-00003.parquet"):
        hf_rows(tmp_path, "test")
    with pytest.raises(MissingFileError, match="gone.parquet is not there"):
        list(parquet_rows([tmp_path / "gone.parquet"]))


@pytest.mark.parametrize("change", ["empty", "cut", "text", "middle"])
def test_broken_files_are_named(tmp_path: Path, change: str) -> None:
    file = write(tmp_path / "test.parquet", range(6))
    data = bytearray(file.read_bytes())
    if change == "empty":
        data = bytearray()
    elif change == "cut":
        del data[len(data) // 2 :]
    elif change == "text":
        data = bytearray(b"<html>not found</html>")
    else:
        data[4:200] = b"\xff" * 196
    file.write_bytes(bytes(data))
    with pytest.raises(DataError, match="test.parquet cannot be read as parquet"):
        for r in parquet_rows([file]):
            for ref in (*cell_refs(r, "image"), *cell_refs(r, "raw")):
                ref.read()


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    file = write(tmp_path / "test.parquet", range(4), group=4)
    ref = cell_ref(list(parquet_rows([file]))[-2], "raw")
    write(file, range(1), group=4)
    assert ref is not None
    with pytest.raises(DataError, match="the file has changed since it was read"):
        ref.read()


def test_a_column_of_text_is_no_image(tmp_path: Path) -> None:
    r = next(parquet_rows([write(tmp_path / "test.parquet", range(1))]))
    with pytest.raises(DataError, match="column 'question' must hold images, got str"):
        cell_ref(r, "question")
