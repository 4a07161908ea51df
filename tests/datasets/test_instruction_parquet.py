"""Conversations in parquet files, in CodeFuse's columns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collavo.datasets.instruction import parquet
from collavo.datasets.instruction.opening import open_mix
from collavo.datasets.mappers.image import open_image
from collavo.errors import DataError, MissingFileError
from collavo.records import Turn

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_rows(rows: list[dict[str, Any]], name: str = "data/a.parquet", **types: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = {"image": IMAGE, "images": pa.list_(IMAGE)} | types
        table = pa.table(
            {
                key: pa.array([row.get(key) for row in rows], fields.get(key))
                for key in dict.fromkeys(k for row in rows for k in row)
            }
        )
        pq.write_table(table, path, row_group_size=2)
        return path

    return write_rows


def test_rows_of_single_turns(write: Callable[..., Path], png: bytes, tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": png, "path": None}, "prompt": f"<image>\nq{n} 狗", "ground_truth": "a"}
        for n in range(4)
    ]
    rows[2] = {"image": None, "prompt": "q2", "ground_truth": "a riding"}
    write(rows, "data/a.parquet")
    write(rows[:1], "data/sub/b.parquet")
    mix = open_mix([f"{tmp_path / 'data'}?name=p"])
    source = mix.sources[0]
    assert [source[i].sample_id for i in range(5)] == [
        *("p:a/1", "p:a/2", "p:a/3", "p:a/4", "p:sub/b/1"),
    ]
    assert source[3].turns == (Turn("user", "q3 狗"), Turn("assistant", "a"))
    assert source[2].turns[1].text == "a riding" and not source[2].images
    assert open_image(source[3].images[0]).size == (40, 20)
    assert [source.num_images(i) for i in range(5)] == [1, 1, 0, 1, 1]
    assert source.length(0) == len("q0 狗a".encode()) and source.has_image(0)
    assert open_mix([str(tmp_path / "data")]).sources[0].fingerprint() == source.fingerprint()


def test_rows_of_several_turns_and_images(write: Callable[..., Path], png: bytes) -> None:
    cell = {"bytes": png, "path": None}
    path = write([{"images": [cell, cell], "prompts": ["q", "r"], "ground_truths": ["a", "b"]}])
    source = open_mix([str(path)]).sources[0]
    assert [t.text for t in source[0].turns] == ["q", "a", "r", "b"]
    assert [ref.read() for ref in source[0].images] == [png, png]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"ground_truths": ["a"]}, "it has 2 prompts and 1 answers; give one for each"),
        ({"prompts": [], "ground_truths": []}, "it has 0 prompts and 0 answers"),
        ({"prompts": ["q", None]}, "turn 3 must be text, got NoneType"),
        ({"prompts": ["q", " "]}, "turn 3 has no text"),
        ({"ground_truths": ["see <image>", "b"]}, "turn 2 is an answer with '<image>' in it"),
        ({"prompts": ["<image><image>", "q"]}, "it has 1 images and 2 '<image>'; give each image"),
    ],
)
def test_bad_rows(
    write: Callable[..., Path], png: bytes, fields: dict[str, Any], problem: str
) -> None:
    good = {
        "image": {"bytes": png, "path": None},
        "prompts": ["q", "r"],
        "ground_truths": ["a", "b"],
    }
    path = write([good, good | fields, good])
    with pytest.raises(DataError, match="1 of 3 rows") as caught:
        open_mix([str(path)])
    assert f"a:a/2: {problem}" in str(caught.value)
    source = open_mix([str(path)], max_bad_rows=1).sources[0]
    assert [source[i].sample_id for i in range(2)] == ["a:a/1", "a:a/3"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"video": "a.mp4"}, "it has 'video', another medium"),
        ({"videos": [b"..."]}, "it has 'videos', another medium"),
        ({"image": None, "img": b"..."}, "it has 'img', which looks like an image"),
        ({"images": ["b.png"]}, "it has 'images' in a file whose images are read from 'image'"),
        ({"image": "../../a.png"}, "'image': image path '../../a.png' leaves the dataset folder"),
        ({"image": ""}, "'image': '' is no image path"),
        ({"prompt": "<video>q"}, "turn 1 holds <video>"),
    ],
)
def test_rows_about_what_is_not_read(
    write: Callable[..., Path], png: bytes, fields: dict[str, Any], problem: str
) -> None:
    """Images by their paths, beside the file and in the folder above its folder "data"."""
    good = {"image": "a.png", "prompt": "q", "ground_truth": "a"}
    texts = {"image": pa.string(), "images": pa.list_(pa.string())}
    path = write([good, good | fields, good], **texts)
    (path.parent / "a.png").write_bytes(png)
    source = open_mix([str(path)], max_bad_rows=1).sources[0]
    assert [name for name, _ in source.bad.first] == ["a:a/2"]
    assert problem in source.bad.first[0][1]
    assert [source[k].images[0].read() for k in range(2)] == [png, png]


def test_images_that_hugging_face_only_names(
    write: Callable[..., Path], png: bytes, tmp_path: Path
) -> None:
    """`images=` says where they lie; paths that leave it are refused with the way out."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(png)
    row = {"prompt": "q", "ground_truth": "a"}
    path = write([{"image": {"bytes": None, "path": "a.png"}, **row}] * 3)
    source = open_mix([f"{path}?images={tmp_path / 'photos'}"]).sources[0]
    assert [source[k].images[0].read() for k in range(3)] == [png] * 3
    path = write([{"image": {"bytes": None, "path": "/etc/a.png"}, **row}])
    with pytest.raises(DataError, match=r"leaves the dataset folder .* \?images=FOLDER"):
        open_mix([str(path)])


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("a.png", pa.string()),
        (["a.png"], pa.list_(pa.string())),
        ({"bytes": None, "path": "a.png"}, None),
        ([{"bytes": None, "path": "a.png"}], None),
    ],
)
def test_the_fingerprint_tells_of_images_that_are_only_named(
    write: Callable[..., Path], png: bytes, image: Any, kind: Any
) -> None:
    field = "images" if isinstance(image, list) else "image"
    texts = {field: kind} if kind is not None else {}
    path = write([{field: image, "prompt": "q", "ground_truth": "a"}], **texts)
    photo = path.parent / "a.png"
    photo.write_bytes(png)
    (path.parent / "beside.png").write_bytes(png)
    first = open_mix([str(path)]).sources[0].fingerprint()
    (path.parent / "beside.png").write_bytes(png + b" ")
    assert open_mix([str(path)]).sources[0].fingerprint() == first
    photo.write_bytes(png + b" ")
    assert open_mix([str(path)]).sources[0].fingerprint() != first


def test_files_that_do_not_fit(
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(
        DataError, match="has the columns text; it needs prompt and ground_truth or"
    ):
        open_mix([str(write([{"text": "a"}]))])
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="b.parquet cannot be read as parquet"):
        open_mix([str(tmp_path / "b.parquet")])
    (tmp_path / "none").mkdir()
    with pytest.raises(MissingFileError, match="source 'none': there is no parquet file at"):
        open_mix([f"parquet:{tmp_path / 'none'}"])
    monkeypatch.setattr(parquet, "LARGE_GROUP", 1)
    with caplog.at_level(logging.WARNING):
        open_mix([str(write([{"prompt": "q", "ground_truth": "a"}]))])
    assert "write it anew with a row_group_size" in caplog.text
