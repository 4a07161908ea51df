"""One rule for the paths of images, whatever table they stand in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.mappers.image import open_image
from collavo.datasets.registration.catalog import notes_of, samples_of
from collavo.datasets.registration.rows import to_samples
from collavo.datasets.registration.survey import survey
from collavo.errors import DataError
from collavo.records import Sample

Read = Callable[..., Sample]

WIDTHS = {"a.png": 3, "images/b.png": 4, "images/a b.png": 5, "sub/d.png": 6, "~/e.png": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images of different width; one without beside it, one behind a link."""
    folder, beside = tmp_path / "set", tmp_path / "beside"
    (beside / "linked").mkdir(parents=True)
    for name, width in WIDTHS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, 2)).save(folder / name)
    Image.new("RGB", (9, 2)).save(beside / "x.png")
    Image.new("RGB", (8, 2)).save(beside / "linked/l.png")
    (folder / "link").symlink_to(beside / "linked")
    (folder / "no.png").write_text("root:x:0:0:a secret")
    (folder / "folder.png").mkdir()
    return folder


def _jsonl(folder: Path, path: Any, name: str = "image") -> str:
    row = {"question": "Q?", "answer": "red", name: path}
    (folder / "t.jsonl").write_text(json.dumps(row) + "\n")
    return f"jsonl:{folder}/t.jsonl"


def _tsv(folder: Path, path: Any, name: str = "image_path") -> str:
    (folder / "t.tsv").write_text(f"index\t{name}\tquestion\tanswer\n1\t{path}\tQ?\tred\n")
    return f"tsv:{folder}/t.tsv"


def _hf(folder: Path, path: Any, form: str) -> str:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    value = {"bytes": None, "path": path}
    image = {
        "text": pa.array([path]),
        "named": pa.array([value], struct),
        "list": pa.array([[value]], pa.list_(struct)),
    }[form]
    table = pa.table({"question": ["Q?"], "answer": ["red"], "image": image})
    pq.write_table(table, folder / "test-00000-of-00001.parquet")
    return f"hf:{folder}"


FORMS: dict[str, Callable[[Path, Any], str]] = {
    "jsonl": _jsonl,
    "jsonl list": lambda folder, path: _jsonl(folder, [path]),
    "jsonl struct": lambda folder, path: _jsonl(folder, {"bytes": None, "path": path}),
    "tsv": _tsv,
    "tsv list": lambda folder, path: _tsv(folder, [path]),
    "tsv image": lambda folder, path: _tsv(folder, path, "image"),
    "hf text": lambda folder, path: _hf(folder, path, "text"),
    "hf named": lambda folder, path: _hf(folder, path, "named"),
    "hf list": lambda folder, path: _hf(folder, path, "list"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("path", "width"),
    [
        ("a.png", 3),
        ("images/b.png", 4),
        ("./images/../a.png", 3),
        ("gone/../a.png", 3),
        (" a.png ", 3),
        ("images/a b.png", 5),
        ("{set}/a.png", 3),
        ("{set}/images/../a.png", 3),
        ("{set}/../set/a.png", 3),
        ("file://{set}/a.png", 3),
        ("File://localhost{set}/a.png", 3),
        ("file:{set}/a.png", 3),
        ("~/e.png", 7),
        ("link/l.png", 8),
    ],
)
def test_what_lies_below_is_read(folder: Path, form: str, path: str, width: int) -> None:
    name = FORMS[form](folder, path.format(set=folder))
    for options in ("", f"?image_root={folder}"):
        (sample,) = samples_of(name + options)
        assert [open_image(image).width for image in sample.images] == [width]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../beside/x.png", "images/../../beside/x.png", "{set}/../beside/x.png"),
        *("file:///etc/passwd", "{set}x/a.png", "link/../../beside/x.png", "{set}/../x.png"),
    ],
)
def test_what_lies_elsewhere_is_refused_with_the_mend(folder: Path, form: str, path: str) -> None:
    name = FORMS[form](folder, path.format(set=folder))
    with pytest.raises(DataError, match=r"leaves the dataset folder .*\?image_root=FOLDER") as said:
        samples_of(name)
    assert "line" in str(said.value) or "row 1" in str(said.value)
    if "beside/x.png" in path and "{set}" in path:
        (sample,) = samples_of(f"{name}?image_root={folder.parent}")
        assert open_image(sample.images[0]).width == 9


@pytest.mark.parametrize("form", FORMS)
def test_a_step_up_behind_a_link_is_the_texts_and_not_the_systems(folder: Path, form: str) -> None:
    """The system would take "link/.." for the folder in which the link's aim lies."""
    Image.new("RGB", (1, 1)).save(folder.parent / "beside" / "a.png")
    (sample,) = samples_of(FORMS[form](folder, "link/../a.png"))
    assert open_image(sample.images[0]).width == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://x.org/a.png", "images are not downloaded: 'https://x.org/a.png'"),
        ("s3://bucket/a.png", "images are not downloaded"),
        ("d/" * 2100 + "a.png", "is no image path|is no base64"),
        ("n" * 300 + ".png", "cannot be read: .*too long|is no base64"),
        ("gone.png", "is not there"),
        ("images\\b.png", "is not there"),
        ("no.png", "is no JPEG, PNG, .* file"),
        ("folder.png", "is not there|[Ii]s a directory"),
        ("{set}", "is not there|[Ii]s a directory|is no base64"),
        ("a\0.png", "is no image path|is no base64|NUL|null"),
    ],
)
def test_paths_of_no_image_are_named(folder: Path, form: str, path: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        (sample,) = samples_of(FORMS[form](folder, path.format(set=folder)))
        open_image(sample.images[0])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_images_that_are_not_shown_are_not_looked_for(folder: Path, form: str) -> None:
    name = FORMS[form](folder, "/somewhere/else.png") + "?images=none"
    (sample,) = samples_of(name)
    assert sample.images == ()
    assert any("not shown (?images=none)" in what for what in notes_of(name))


def test_an_unknown_image_field_may_be_left_out_in_words(folder: Path) -> None:
    name = _jsonl(folder, "a.png", "screenshot")
    with pytest.raises(DataError, match=r"say \?images=none"):
        samples_of(name)
    (sample,) = samples_of(f"{name}?images=none")
    assert sample.images == ()
    assert any("'screenshot' (1)" in what for what in notes_of(f"{name}?images=none"))


def test_each_image_of_a_table_lies_where_it_lies(folder: Path) -> None:
    (folder / "images/t").mkdir()
    Image.new("RGB", (12, 2)).save(folder / "images/t/own.png")
    lines = ["index\timage_path\tquestion\tanswer"]
    names = ["b.png", "a.png", "own.png", "['a.png', None, 'b.png']", '["a.png", null]', "nan"]
    lines += [f"{k}\t{name}\tQ?\tred" for k, name in enumerate(names)]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    found = [[open_image(i).width for i in s.images] for s in samples_of(f"tsv:{folder}/t.tsv")]
    assert found == [[4], [3], [12], [3, 4], [3], []]
    notes = notes_of(f"tsv:{folder}/t.tsv")
    assert any("what is no image in a list of images is left out (2 rows" in w for w in notes)


def test_an_image_column_may_hold_paths_beside_base64_and_indices(folder: Path) -> None:
    image = base64.b64encode((folder / "images/b.png").read_bytes()).decode()
    deep = "/".join(["images/.."] * 12)
    cells = [
        *(image, "0", "a.png", "2", f"{deep}/a.png", f"['{deep}/a.png', '{deep}/images/b.png']"),
        f"['{image}', 'data:image/png;base64,{image}']",
        "9",
    ]
    lines = ["index\timage\tquestion\tanswer", *(f"{k}\t{c}\tQ?\ta" for k, c in enumerate(cells))]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    *good, bad = samples_of(f"tsv:{folder}/t.tsv")
    found = [[open_image(i).width for i in s.images] for s in good]
    assert found == [[4], [4], [3], [3], [3], [3, 4], [4, 4]]
    with pytest.raises(DataError, match="said to be that of index '9', which has none"):
        open_image(bad.images[0])


def test_a_path_serves_where_the_image_is_that_of_no_row(folder: Path) -> None:
    head = "index\timage\timage_path\tquestion\tanswer\n"
    (folder / "t.tsv").write_text(f"{head}1\tb.png\timages/b.png\tQ?\ta\n2\t1\ta.png\tQ?\ta\n")
    first, second = samples_of(f"tsv:{folder}/t.tsv")
    assert open_image(first.images[0]).width == 4
    assert open_image(second.images[0]).width == 4, "the image of row 1 comes first"


def test_parquet_that_names_files_is_surveyed_as_files(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    paths = ["a.png", "gone.png", None]
    values = pa.array([{"bytes": None, "path": path} for path in paths] + [None], struct)
    table = pa.table({"question": ["Q?"] * 4, "answer": ["a"] * 4, "image": values})
    (folder / "data").mkdir()
    pq.write_table(table, folder / "data/test-00000-of-00001.parquet")
    found = survey(f"hf:{folder}", quick=True)
    assert found.missing == [f"{folder}/data/gone.png: No such file or directory"]
    assert found.about["without_image"] == 2


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("../beside/x.png", "leaves the dataset folder .* as image_root in the metadata"),
        ({"bytes": None, "path": "/etc/passwd"}, "leaves the dataset folder"),
        ("http://x.org/a.png", "are not downloaded"),
        ("file://gone/../../x.png", "leaves the dataset folder"),
    ],
)
def test_rows_of_registered_datasets(folder: Path, image: Any, said: str) -> None:
    row = {"question": "Q?", "answer": "a"}
    for inside in ("a.png", f"file://{folder}/a.png", {"path": f"{folder}/images/../a.png"}):
        (sample,) = to_samples("mine", [{**row, "image": inside}], image_root=folder)
        assert open_image(sample.images[0]).width == 3
    with pytest.raises(DataError, match=said):
        to_samples("mine", [{**row, "image": image}], image_root=folder)
