"""Reading JSON rows and tab-separated lines, whole and broken."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from collavo.datasets.registration.readers.rows import read_rows
from collavo.datasets.registration.readers.tabs import tab_cells
from collavo.datasets.registration.readers.text import lines_of, read_text
from collavo.errors import DataError, MissingFileError, UserError

ROWS = [{"a": 1, "b": "ä, \u2028 and \x85"}, {"a": 2, "b": ""}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def _file(folder: Path, data: str | bytes, name: str = "file.json") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\ufeff" + json.dumps(ROWS),
        json.dumps(ROWS, indent=1).replace("\n", "\r\n"),
        LINES,
        "\ufeff" + LINES,
        LINES.replace("\n", "\r\n"),
        "\n\n" + LINES.replace("\n", "\n \n\n"),
        LINES.rstrip("\n"),
        LINES.replace("}\n", "},\n"),
        LINES.encode("utf-16"),
        "\ufeff" + LINES.replace("\n", "\r\n\r\n"),
    ],
)
def test_rows_are_read_whatever_the_line_ends_marks_and_names(
    tmp_path: Path, data: str | bytes
) -> None:
    for name in ("file.json", "file.jsonl", "file"):
        assert [row.values for row in read_rows(_file(tmp_path, data, name))] == ROWS


def test_control_characters_in_strings_are_kept(tmp_path: Path) -> None:
    rows = read_rows(_file(tmp_path, '{"a": "x\x00y\tz\\u0000 "}\n'))
    assert rows[0].values == {"a": "x\x00y\tz\x00 "}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (LINES[: len(LINES) - 8], "line 2: not JSON: the text ends too early"),
        (json.dumps(ROWS)[:-9], "line 1: not JSON"),
        (json.dumps(ROWS, indent=1)[:-3], "not JSON: the text ends too early"),
        (LINES + "oops\n", "line 3: not JSON: Expecting value"),
        (LINES.encode() + b'{"a": "\xff"}', "line 3: byte 0xff at position"),
        (LINES.encode() + b'{"a": "\xe4\xb8', "line 3: byte 0xe4"),
        (b"\xef\xbb\xbf\n\n\xc3(", "line 3: byte 0xc3 at position 5"),
        (LINES + "\0\0\0\0", "NUL bytes, as a broken download"),
        ("", "is empty"),
        ("\ufeff \r\n\n", "is empty"),
        (LINES + "[1]\n", "line 3: expected an object, got list"),
        ('[{"a": 1}, 7]', "row 2: expected an object, got int 7"),
        ('"text"', "expected an object, got str"),
        ("[" * 100_000, "not usable JSON"),
        ('{"a": ' + "9" * 5000 + "}\n", "not usable JSON"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, data: str | bytes, said: str) -> None:
    path = _file(tmp_path, data)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere\.json is not there"):
        read_text(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="cannot read"):
        read_text(tmp_path)


def test_a_missing_field_is_named_with_its_row_and_the_fields_that_are_there(
    tmp_path: Path,
) -> None:
    row = read_rows(_file(tmp_path, LINES))[1]
    with pytest.raises(DataError, match=r"line 2: no field 'label' or 'c'; it has 'a', 'b'$"):
        row.need("label", "c")
    with pytest.raises(DataError, match=r"line 2: field 'a' must be text, got int 2"):
        row.text("x", "a")
    array = read_rows(_file(tmp_path, '[{}, {"a": null}]'))
    with pytest.raises(DataError, match=r"row 1: no field 'a'; it has no fields"):
        array[0].need("a")
    with pytest.raises(DataError, match=r"row 2: no field 'a'"):
        array[1].need("a")


@pytest.mark.parametrize(
    ("value", "key"), [("7", "7"), (7, 7), (7.0, 7), ("", ""), (7.5, None), (True, None)]
)
def test_ids_are_text_or_whole_numbers(tmp_path: Path, value: object, key: object) -> None:
    row = read_rows(_file(tmp_path, json.dumps([{"id": value}])))[0]
    if key is None:
        with pytest.raises(DataError, match="must be text or a whole number"):
            row.key("id")
    else:
        assert row.key("id") == key


def test_tab_lines_keep_the_tabs_of_their_last_cell(tmp_path: Path) -> None:
    path = _file(tmp_path, "\ufeffa\tb\tc\r\n\n x \ty \n")
    assert [cells for _, cells in tab_cells(path, ("one", "two"))] == [["a", "b\tc"], [" x ", "y "]]
    with pytest.raises(
        DataError, match=r"line 1: expected 2 cells \(one, two\).*found 1: 'no tab'"
    ):
        list(tab_cells(_file(tmp_path, "no tab\n"), ("one", "two")))


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = _file(tmp_path, "a\x0bb\x85c\u2028d\r\n\ne\n")
    assert [(line.number, line.text) for line in lines_of(path)] == [
        (1, "a\x0bb\x85c\u2028d"),
        (3, "e"),
    ]


def test_no_mutation_of_a_file_ends_in_anything_but_rows_or_a_clear_error(tmp_path: Path) -> None:
    dice = random.Random(0)
    outcomes = {"rows": 0, "error": 0}
    for data in (LINES.encode(), json.dumps(ROWS, indent=1).encode()):
        for _ in range(400):
            broken = bytearray(data)
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(broken))
                letters = b'abc 12{}[],:"' if dice.random() < 0.7 else bytes(range(256))
                new = bytes(dice.choice(letters) for _ in range(dice.randint(0, 2)))
                broken[at : at + dice.randint(0, 2)] = new
            try:
                rows = read_rows(_file(tmp_path, bytes(broken)))
                [row.text("b") for row in rows]
                outcomes["rows"] += 1
            except UserError as error:
                assert str(tmp_path) in str(error)
                outcomes["error"] += 1
    assert min(outcomes.values()) > 50


def test_halves_of_characters_are_replaced(tmp_path: Path) -> None:
    """JSON can write half of a character, which no file of ours could hold."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "x\\ud83d!", "b\\uDC00": ["\\uD83D\\uDE42"], "c": {"d": "\\\\ud800"}}\n')
    (row,) = read_rows(path)
    assert row.values == {"a": "x\ufffd!", "b\ufffd": ["🙂"], "c": {"d": "\\ud800"}}
