"""Finding the datasets' root, folders and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.datasets.registration import roots
from collavo.errors import DataError, MissingFileError
from collavo.records import ImageRef


def test_the_key_comes_before_the_variables_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("key", *roots.VARIABLES):
        (tmp_path / name).mkdir()
    for name in roots.VARIABLES:
        monkeypatch.setenv(name, str(tmp_path / name))
    roots.use_root(tmp_path / "key")
    assert roots.root() == roots.Root(tmp_path / "key", "DATASETS.ROOT")
    roots.use_root("")
    for name in roots.VARIABLES:
        assert roots.root() == roots.Root(tmp_path / name, name)
        monkeypatch.setenv(name, " ")
    assert roots.named_root() is None


@pytest.mark.parametrize("variable", [None, *roots.VARIABLES])
def test_a_named_root_that_is_not_there_does_not_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    place = str(tmp_path / "gone")
    if variable:
        monkeypatch.setenv(variable, place)
    else:
        roots.use_root(place)
    with pytest.raises(MissingFileError) as caught:
        roots.root()
    assert place in str(caught.value)
    assert f"set {variable or 'DATASETS.ROOT'} to" in str(caught.value)


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    roots.use_root("~")
    assert roots.root().path == tmp_path


def test_missing_folders_and_files_say_where_they_were_looked_for(tmp_path: Path) -> None:
    roots.use_root(tmp_path)
    with pytest.raises(MissingFileError) as caught:
        roots.find_folder("POPE", "pope", what="POPE's folder")
    assert str(caught.value).startswith(
        f"POPE's folder is missing: looked for {tmp_path}/POPE, {tmp_path}/pope "
        "(root from DATASETS.ROOT); set DATASETS.ROOT (or the environment variable DATASET2)"
    )
    with pytest.raises(
        MissingFileError, match="labels is missing: looked for .*/a.json, .*/b.json"
    ):
        roots.find_file(tmp_path, "a.json", "b.json", what="labels")
    (tmp_path / "b.json").touch()
    assert roots.find_file(tmp_path, "a.json", "b.json") == tmp_path / "b.json"


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "", " ", "a\0.jpg"])
def test_an_image_path_may_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^file, line 3: "):
        roots.image_ref(tmp_path, name, "file, line 3")


def test_image_folders_and_files_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.jpg").write_bytes(b"x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "disk")
    (tmp_path / "root" / "y.jpg").symlink_to(tmp_path / "disk" / "x.jpg")
    for name in ("folder/x.jpg", "y.jpg", "a/../y.jpg"):
        assert roots.image_ref(tmp_path / "root", name, "here").path is not None
    ref = ImageRef(path=tmp_path / "root" / "y.jpg", root=tmp_path / "root")
    assert ref.read() == b"x"
