"""A benchmark is found in whichever layout it lies, and is the same in each."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.layouts import (
    Layout,
    hf_layout,
    layout_of,
    load_layouts,
    tsv_layout,
    use_layout,
)
from collavo.datasets.registration.roots import use_root
from collavo.errors import MissingFileError
from collavo.records import Sample


@pytest.fixture(autouse=True)
def _any_layout() -> Iterator[None]:
    use_layout("auto")
    yield
    use_layout("auto")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    use_root(tmp_path)
    (tmp_path / "SET").mkdir()
    return tmp_path / "SET"


def one(name: str) -> list[Sample]:
    return [Sample(name, (), name, 0)]


LAYOUTS = (
    Layout("original", lambda f: True if (f / "set.json").is_file() else None, lambda _: one("o")),
    hf_layout("test", lambda rows: [s for _ in rows for s in one("h")]),
    tsv_layout(("SET.tsv", "Set.tsv"), lambda rows: [s for _ in rows for s in one("v")]),
)


def read() -> str:
    return load_layouts("set_test", ("SET", "set"), LAYOUTS)[0].question


def test_the_first_that_is_there_is_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "Set.tsv").write_text("index\n1\n")
    assert read() == "v"
    assert layout_of("set_test") == "vlmevalkit"
    pq.write_table(pa.table({"a": [1]}), folder / "test.parquet")
    assert read() == "h"
    (folder / "set.json").write_text("")
    with caplog.at_level(logging.INFO):
        assert read() == "o"
    assert "'original'" in caplog.text and "there is also hf, vlmevalkit" in caplog.text


def test_the_configuration_chooses(folder: Path) -> None:
    (folder / "set.json").write_text("")
    (folder / "SET.tsv").write_text("index\n1\n")
    use_layout("vlmevalkit")
    assert read() == "v"
    use_layout("hf")
    with pytest.raises(MissingFileError, match=r"DATASETS.LAYOUT is 'hf', but .* 'original', 'vlm"):
        read()


def test_a_table_may_lie_in_the_root(tmp_path: Path) -> None:
    use_root(tmp_path)
    (tmp_path / "SET.tsv").write_text("index\n1\n")
    assert read() == "v"


def test_nothing_there_lists_every_layout(folder: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        read()
    said = str(caught.value)
    for part in (
        "set_test is missing",
        str(folder),
        "original: original",
        "vlmevalkit: SET.tsv or",
    ):
        assert part in said
    assert "hf: [data/]test-*.parquet" in said and "set DATASETS.ROOT" in said


def test_half_a_layout_is_named_where_nothing_else_is_there(folder: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), folder / "test-00000-of-00002.parquet")
    with pytest.raises(MissingFileError, match=r"1 of the 2 files .* such as test-00001-of-00002"):
        read()
    (folder / "SET.tsv").write_text("index\n1\n")
    assert read() == "v"
    use_layout("hf")
    with pytest.raises(MissingFileError, match="1 of the 2 files"):
        read()
    use_layout("original")
    with pytest.raises(
        MissingFileError, match=r"DATASETS.LAYOUT is 'original', but .*'vlmevalkit'"
    ):
        read()


def parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    names = [name for name in rows[0] if name != "image"]
    schema = pa.schema([*((name, pa.string()) for name in names), ("image", image)])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, row_group_size=50)


def tsv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    lines = ["\t".join(rows[0])]
    lines += ["\t".join(str(value) for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seen(samples: Sequence[Sample]) -> dict[str, Any]:
    """What a run depends on, by sample id."""
    return {
        s.sample_id: (s.question, s.answers, s.category, s.images[0].digest() if s.images else "")
        for s in samples
    }


@pytest.mark.parametrize(("name", "home"), [("pope_test", "POPE"), ("mme", "MME")])
def test_hugging_face_copies_equal_the_release(tmp_path: Path, name: str, home: str) -> None:
    use_root(miniature_root())
    original = samples_of(name)
    rows = []
    for s in original:
        assert s.images
        ids = {"question_id": str(s.question_id), "image_source": Path(s.images[0].label).stem}
        rows.append(
            {
                **(ids if name == "pope_test" else {"question_id": s.extra["image"]}),
                **{"question": s.question, "answer": s.answers[0], "category": s.category},
                "image": {"bytes": s.images[0].read(), "path": None},
            }
        )
    use_root(tmp_path)
    parquet(tmp_path / home / "data/test-00000-of-00001.parquet", rows)
    copy = samples_of(name)
    assert seen(copy) == seen(original)
    assert len({id(s.images[0]) for s in copy}) == len(
        {s.images[0].path for s in original if s.images}
    )


def test_pope_as_vlmevalkit_has_it(tmp_path: Path) -> None:
    """One row stands for the question in all splits that ask it."""
    use_root(miniature_root())
    merged: dict[tuple[str, str], list[Sample]] = {}
    for s in samples_of("pope_test"):
        assert s.images
        merged.setdefault((s.images[0].label, s.question), []).append(s)
    rows, first = [], {}
    for number, group in enumerate(merged.values()):
        image = group[0].images[0]
        assert image is not None
        home = first.setdefault(image.label, number)
        rows.append(
            {
                "index": number,
                "image": base64.b64encode(image.read()).decode() if home == number else home,
                **{"question": group[0].question, "answer": group[0].answers[0].title()},
                "category": ",".join(s.category for s in group),
            }
        )
    use_root(tmp_path)
    tsv(tmp_path / "POPE.tsv", rows)
    table = samples_of("pope_test")

    def content(samples: Sequence[Sample]) -> list[tuple[Any, ...]]:
        return sorted(seen(samples).values())

    use_root(miniature_root())
    assert content(table) == content(samples_of("pope_test"))
    assert all("index-" in s.sample_id for s in table), "these numbers are no ids of a split"


@pytest.mark.parametrize("named", [True, False])
def test_mme_as_vlmevalkit_has_it(tmp_path: Path, named: bool) -> None:
    use_root(miniature_root())
    original = samples_of("mme")
    rows = []
    for number, s in enumerate(original):
        assert s.images
        path = {"image_path": s.extra["image"]} if named else {}
        encoded = base64.b64encode(s.images[0].read()).decode()
        texts = {"question": s.question, "answer": s.answers[0], "category": s.category}
        rows.append({"index": number, "image": encoded, **path, **texts})
    use_root(tmp_path)
    (tmp_path / "MME").mkdir()
    tsv(tmp_path / "MME/MME.tsv", rows)
    table = samples_of("mme")
    if named:
        assert seen(table) == seen(original)
    pairs: dict[str, int] = {}
    for s in table:
        pairs[str(s.extra["image"])] = pairs.get(str(s.extra["image"]), 0) + 1
    assert set(pairs.values()) == {2}, "the two questions of an image find each other"
