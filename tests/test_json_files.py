"""Whatever a JSON file holds, it is read or refused with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo import json_files
from collavo.errors import DataError

BROKEN = {
    "empty": b"",
    "cut": b'{"a": 1',
    "words": b"not json",
    "utf-8": b'{"a": "\xff"}',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "digits": b"9" * 10_000,
}
OTHER = {"list": b"[]", "text": b'"a"', "null": b"null", "number": b"1", "nan": b"NaN"}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json is no JSON that can be used: .") as error:
        json_files.read_object(file, DataError)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER)
def test_what_is_no_object_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json holds \w+ .*, not a JSON object"):
        json_files.read_object(file, DataError)


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        json_files.read_object(tmp_path / "none.json", DataError)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        json_files.read_object(tmp_path, DataError)
    file = tmp_path / "x.json"
    file.write_text('{"a": 1}')
    assert json_files.read_object(file, DataError) == {"a": 1}
    monkeypatch.setattr(json_files, "LARGEST", 3)
    with pytest.raises(DataError, match="larger than a JSON file may be"):
        json_files.read_object(file, DataError)
