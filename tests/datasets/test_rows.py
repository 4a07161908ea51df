"""Rows of users' datasets become samples, and what is wrong with one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.rows import to_samples
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image


def test_all_fields(tmp_path: Path) -> None:
    (sample,) = to_samples(
        "mine",
        [
            {
                "question": "What?",
                "file_name": "a/b.jpg",
                "question_id": "q7",
                "answers": ["cat", 3],
                "options": ["cat", "dog"],
                "category": "animals",
                "image_id": 7,
            }
        ],
        image_root=tmp_path,
    )
    assert sample.images
    assert sample.images[0].path == tmp_path / "a" / "b.jpg"
    assert sample.images[0].root == tmp_path
    expected = Sample(
        sample_id="mine:q7", images=one_image(sample.images[0]), question="What?", question_id="q7",
        options=("cat", "dog"), answers=("cat", "3"), category="animals", extra={"image_id": 7},
    )  # fmt: skip
    assert sample == expected


def test_least_fields() -> None:
    samples = to_samples("mine", ({"question": q, "image": None} for q in ("One?", "Two?")))
    assert [s.sample_id for s in samples] == ["mine:0", "mine:1"]
    assert [s.question_id for s in samples] == [0, 1]
    assert not samples[0].images and samples[0].answers == ()


def test_samples_pass_as_they_are() -> None:
    sample = Sample("x:1", (), "?", 1)
    assert to_samples("mine", [sample])[0] is sample


class Picture:
    """Has what a PIL image has."""

    mode = "RGB"

    def save(self, file: Any, format: str) -> None:
        file.write(format.encode())


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"jpeg", b"jpeg"),
        ({"bytes": b"jpeg", "path": "x"}, b"jpeg"),
        (Picture(), b"PNG"),
        (ImageRef(data=b"ref"), b"ref"),
    ],
)
def test_images_in_memory(value: Any, read: bytes) -> None:
    (sample,) = to_samples("mine", [{"question": "?", "image": value}])
    assert sample.images and sample.images[0].read() == read


def test_path_of_a_hugging_face_image(tmp_path: Path) -> None:
    row = {"question": "?", "image": {"bytes": None, "path": str(tmp_path / "a.png")}}
    (sample,) = to_samples("mine", [row])
    assert sample.images and sample.images[0].path == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": None}, r"dataset 'mine', row 1 has no field 'question'; it has: image"),
        ({}, "row 1 has no field 'question'; it has: no field at all"),
        (
            {"question": "?", "img": "a"},
            r"row 1 has no field 'image' \(or 'images', 'file_name'\).*img",
        ),
        ({"question": 5, "image": None}, "row 1: 'question' must be text, got 5"),
        ({"question": "?", "image": 5}, "row 1: 'image' must be a path, bytes.*got int"),
        ({"question": "?", "image": ""}, "row 1: 'image' must be a path"),
        ({"question": "?", "image": None, "question_id": 1.5}, "'question_id' must be text or"),
        ({"question": "?", "image": None, "sample_id": 4}, "'sample_id' must be text"),
        ({"question": "?", "image": None, "answer": True}, "'answers' must be text or a list"),
        ({"question": "?", "image": None, "options": {"A": "x"}}, "'options' must be text or a"),
        ({"question": "?", "image": None, "category": 3}, "'category' must be text"),
        ("a line", "row 1: a row must be a dict or a Sample, got str"),
        ({"question": "?", "image": "../../etc/x.png"}, "row 1: .*leaves the dataset folder"),
        ({"question": "?", "image": "/etc/x.png"}, "row 1: .*leaves the dataset folder"),
    ],
)
def test_wrong_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    good = {"question": "?", "image": None}
    with pytest.raises(DataError, match=message):
        to_samples("mine", [good, row], image_root=tmp_path)


@pytest.mark.parametrize("rows", [{"question": "?"}, "text", None, 3])
def test_wrong_result_is_named(rows: Any) -> None:
    with pytest.raises(DataError, match="'mine': its function must return a list of dicts"):
        to_samples("mine", rows)


def test_repeated_ids_are_listed() -> None:
    rows = [{"question": "?", "image": None, "question_id": i % 12} for i in range(24)]
    with pytest.raises(DataError, match=r"12 sample ids that repeat: mine:0, .*mine:9 and 2 more"):
        to_samples("mine", rows)
    for index, row in enumerate(rows):
        row["sample_id"] = f"mine:{index}"
    assert len(to_samples("mine", rows)) == 24


def test_rows_with_several_images(tmp_path: Path) -> None:
    rows = [
        {"question": "?", "images": ["a.png", b"data"], "question_id": 1},
        {"question": "?", "images": [], "question_id": 2},
        {"question": "?", "images": None, "image": "b.png", "question_id": 3},
    ]
    first, second, third = to_samples("mine", rows, image_root=str(tmp_path))
    assert [ref.path for ref in first.images] == [tmp_path / "a.png", None]
    assert first.images[1].data == b"data" and second.images == ()
    assert [ref.path for ref in third.images] == [tmp_path / "b.png"]
    assert "images" not in first.extra
    for row, message in (
        ({"images": ["a"], "image": "b"}, "images beside image"),
        ({"images": "a.png"}, "'images' must be a list"),
        ({"images": ["a", None]}, "holds None"),
    ):
        with pytest.raises(DataError, match=message):
            to_samples("mine", [{"question": "?", **row}], image_root=str(tmp_path))
