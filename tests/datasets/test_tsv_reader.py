"""Tables are read as pandas reads them; images stay in the file."""

from __future__ import annotations

import base64
import pickle
import random
import re
from pathlib import Path

import pytest

from collavo.datasets.registration.readers import records
from collavo.datasets.registration.readers.cells import cell_ref, cell_refs
from collavo.datasets.registration.readers.records import read_records
from collavo.datasets.registration.readers.tsv import PANDAS_NA, is_na, short_index, tsv_rows
from collavo.errors import DataError, MissingFileError


def encoded(content: bytes) -> str:
    """Base64 of more than 64 characters, as real images are."""
    return base64.b64encode(content.ljust(80, b".")).decode()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "SET.tsv"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a\tb\n", [["a", "b"]]),
        ("a\tb", [["a", "b"]]),
        ("a\tb\r\nc\td\r\n", [["a", "b"], ["c", "d"]]),
        ('"a\tb\nc"\td\n', [["a\tb\nc", "d"]]),
        ('"say ""hi"""\td\n', [['say "hi"', "d"]]),
        ('5" pipe\td\n', [['5" pipe', "d"]]),
        ('"a"bc"d\te\n', [['abc"d', "e"]]),
        ('""\t""\n', [["", ""]]),
        ("\n   \na\n\r\n", [["a"]]),
        ("\ta\t\n", [["", "a", ""]]),
        ("\ufeffa\tb\n", [["a", "b"]]),
        ('\ufeff"a"\tb\n', [["a", "b"]]),
        ("a\u2028b\x85c\x0bd\n", [["a\u2028b\x85c\x0bd"]]),
        ('a\t"b\r\nc"', [["a", "b\r\nc"]]),
    ],
)
def test_cells(table: Path, text: str, cells: list[list[str]]) -> None:
    table.write_bytes(text.encode())
    assert [[c.text("here") for c in r.cells] for r in read_records(table)] == cells


def test_random_text_is_read_as_pandas_does(table: Path) -> None:
    import pandas

    dice = random.Random(3)
    read = refused = 0
    for _ in range(250):
        body = "".join(dice.choice('ab\t\t"\n\r \n""x,é') for _ in range(dice.randint(1, 40)))
        # pandas loses the empty cell behind a lone CR
        text = "c\td\te\n" + re.sub("\r+(?=\t)", "", body)
        table.write_bytes(text.encode())
        try:
            frame = pandas.read_csv(
                table, sep="\t", dtype=str, keep_default_na=False, header=None,
                names=list(range(50)), index_col=False,
            )  # fmt: skip
        except pandas.errors.ParserError:
            with pytest.raises(DataError, match="never ends"):
                list(read_records(table))
            refused += 1
            continue
        theirs = [[c if isinstance(c, str) else "" for c in row] for row in frame.values.tolist()]
        ours = [[c.text("") for c in r.cells] for r in read_records(table)]
        assert [row + [""] * (50 - len(row)) for row in ours] == theirs, repr(text)
        read += 1
    assert read > 100
    assert refused > 30


def test_pandas_values_that_are_none() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert PANDAS_NA == STR_NA_VALUES
    assert is_na("None") and is_na(None) and not is_na("none")


def test_none_as_text_or_as_no_value(table: Path) -> None:
    table.write_text("index\tquestion\timage\tA\tB\n1\tq\t\tNA\tNone\n2\tq\t\t\tx\n")
    kept = list(tsv_rows(table))
    assert [(r.values["A"], r.values["B"]) for r in kept] == [("NA", "None"), (None, "x")]
    gone = list(tsv_rows(table, nan="pandas"))
    assert [(r.values["A"], r.values["B"]) for r in gone] == [(None, None), (None, "x")]


def test_images_in_place_by_index_and_in_lists(table: Path) -> None:
    one, two = encoded(b"one"), encoded(b"two")
    table.write_text(
        "index\timage\tquestion\n"
        f"7\t8\tbefore\n8\t{one}\thome\n9\t7\tof a reference\n"
        f"10\t\"['{one}', '{two}']\"\tlist\n11\t['{two}']\tlist of one\n"
        "12\t\tnone\n13\t8.0\tfloat\n"
        f"14\tdata:image/png;base64,{two}\turi\n",
        encoding="utf-8",
    )
    rows = {r.values["question"]: r for r in tsv_rows(table)}
    read = {name: [ref.read()[:3] for ref in cell_refs(row, "image")] for name, row in rows.items()}
    assert read.pop("none") == []
    reference = rows["of a reference"]
    assert read == {
        **{"before": [b"one"], "home": [b"one"], "of a reference": [b"one"], "float": [b"one"]},
        **{"list": [b"one", b"two"], "list of one": [b"two"], "uri": [b"two"]},
    }
    assert cell_ref(rows["before"], "image") is cell_ref(rows["home"], "image")
    assert short_index(reference) == 9
    again = pickle.loads(pickle.dumps(cell_ref(rows["home"], "image")))
    assert again.read() == base64.b64decode(one)
    assert again.name == "SET.tsv, line 3, image 1"


def test_an_index_of_no_row_fails_at_reading_only(table: Path) -> None:
    table.write_text("index\timage\tquestion\n1\t99\tq\n")
    (row,) = tsv_rows(table)
    ref = cell_ref(row, "image")
    assert ref is not None
    with pytest.raises(DataError, match=r"SET.tsv, line 2: .* index '99'"):
        ref.read()


def test_a_table_without_images_serves_for_scoring(table: Path) -> None:
    table.write_text("index\tquestion\n1\tq\n")
    ref = cell_ref(next(tsv_rows(table)), "image")
    assert ref is not None
    with pytest.raises(DataError, match="neither a column 'image' nor a column 'image_path'"):
        ref.read()


@pytest.mark.parametrize("folder", ["images/SET", "images", "."])
def test_image_paths(table: Path, folder: str) -> None:
    file = table.parent / folder / "a" / "1.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"picture")
    table.write_text("index\timage_path\tquestion\n1\ta/1.jpg\tq\n2\t['a/1.jpg', 'a/2.jpg']\tr\n")
    first, second = tsv_rows(table)
    ref = cell_ref(first, "image")
    assert ref is not None and ref.path == file and ref.read() == b"picture"
    assert [r.path.name for r in cell_refs(second, "image") if r.path] == ["1.jpg", "2.jpg"]


def test_image_paths_stay_inside(table: Path) -> None:
    table.write_text("index\timage_path\tquestion\n1\t../../etc/passwd\tq\n")
    with pytest.raises(DataError, match="line 2: image path .* leaves"):
        list(tsv_rows(table))


def test_repeated_unnamed_and_missing_columns(table: Path) -> None:
    table.write_text("index\tA\tA\t\tquestion\n1\tx\ty\tz\n2\tx\ty\tz\tq\t\t\n")
    first, second = tsv_rows(table)
    del first.values["image"], second.values["image"]
    assert first.values == {"index": "1", "A": "x", "A.1": "y", "Unnamed: 3": "z", "question": None}
    assert second.values["question"] == "q"
    with pytest.raises(
        DataError, match="SET.tsv, line 2: no field 'question'; it has 'index', 'A'"
    ):
        first.need("question")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"index\tquestion\n", "no rows"),
        (b"index\tquestion\n1\tq\textra\n", "line 2: 3 cells, but there are 2 columns"),
        (b"index\tquestion\n1\tna\xefve\n", "line 2: byte 0xef of a cell is not utf-8"),
        ("index\tq\n".encode("utf-16"), "is UTF-16"),
        (b'index\tquestion\n1\t"open\n2\tq\n', "line 2: a quoted cell never ends"),
    ],
)
def test_broken_tables_are_named(table: Path, data: bytes, said: str) -> None:
    table.write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(tsv_rows(table))
    assert said in str(caught.value) and "SET.tsv" in str(caught.value)


def test_a_missing_table(table: Path) -> None:
    with pytest.raises(MissingFileError, match="SET.tsv is not there"):
        list(tsv_rows(table))
    with pytest.raises(DataError, match="cannot read"):
        list(tsv_rows(table.parent))


def test_broken_images_are_named(table: Path) -> None:
    table.write_text(f"index\timage\tquestion\n1\t{'*' * 70}\tq\n2\t{encoded(b'x')}\tr\n")
    bad, good = (cell_ref(row, "image") for row in tsv_rows(table))
    assert bad is not None and good is not None
    with pytest.raises(DataError, match=r"SET.tsv, line 2: the image is no base64"):
        bad.read()
    table.write_text("cut")
    with pytest.raises(DataError, match=r"line 3: the file was cut"):
        good.read()
    table.unlink()
    with pytest.raises(DataError, match=r"line 3: the image cannot be read again"):
        good.read()


def test_a_record_without_end_is_refused(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", 1000)
    table.write_text('index\tq\n1\t"' + "line\n" * 1000)
    with pytest.raises(DataError, match="a record of more than 1000 bytes"):
        list(tsv_rows(table))


def test_memory_holds_no_images(table: Path) -> None:
    """40 MB of images are indexed in a few MB; a table of 10 GB only takes longer."""
    import tracemalloc

    with table.open("w") as file:
        file.write("index\timage\tquestion\n")
        for number in range(40):
            file.write(f"{number}\t{chr(65 + number % 26) * 1_000_000}\tq\n")
    tracemalloc.start()
    rows = list(tsv_rows(table))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 40
    assert peak < 8_000_000
