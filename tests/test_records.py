"""Records: a sample's images, and the deprecated word for the one image."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from collavo import records
from collavo.records import ImageDeprecationWarning, ImageRef, Sample

REF, OTHER = ImageRef(data=b"1"), ImageRef(data=b"2")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_warned", False)


def test_a_sample_has_any_number_of_images() -> None:
    sample = Sample("s:1", [REF, OTHER], "What?", 1, answers=("a",))  # type: ignore[arg-type]
    assert sample.images == (REF, OTHER) and sample.extra == {}
    assert replace(sample, images=()).images == ()
    assert sample == Sample("s:1", (REF, OTHER), "What?", 1, answers=("a",))
    with pytest.raises(AttributeError):
        sample.question = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "images"),
    [
        (lambda: Sample("s", image=REF, question="?", question_id=1), (REF,)),
        (lambda: Sample("s", image=None, question="?", question_id=1), ()),
        (lambda: Sample("s", REF, "?", 1), (REF,)),
        (lambda: Sample("s", None, "?", 1), ()),
    ],
)
def test_the_word_image_works_on_with_one_warning(make, images) -> None:
    with pytest.warns(ImageDeprecationWarning, match="a sample has `images`"):
        sample = make()
    assert sample.images == images
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sample.image == (images[0] if images else None)
        assert make() == sample


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": (REF,), "image": REF, "question": "?", "question_id": 1}, "not both"),
        ({"question": "?", "question_id": 1}, "lacks images"),
        ({"images": (), "question_id": 1}, "lacks question"),
        ({"images": (), "question": "?"}, "lacks question_id"),
    ],
)
def test_what_a_sample_needs(fields, message) -> None:
    with pytest.raises(TypeError, match=message):
        Sample("s", **fields)
