"""Units, their order, common prefixes, and parts of a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.engine.plan import common_prefix, in_order, make_units, missing_images, select
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image


def sample(number: int, image: ImageRef | None = None, question: str = "?") -> Sample:
    return Sample(f"set:{number}", one_image(image), question, number)


def path_ref(name: str) -> ImageRef:
    return ImageRef(path=Path(name))


def test_questions_on_one_image_form_a_unit():
    samples = [sample(k, path_ref("ab"[k % 2])) for k in range(6)]
    units = make_units(samples)
    assert [[s.question_id for s in u.samples] for u in units] == [[0, 2, 4], [1, 3, 5]]
    assert all(u.group == u.samples for u in units)


def test_bytes_are_grouped_by_content_and_cells_by_identity():
    cell = ImageRef(cell=lambda: b"x")
    samples = [
        sample(0, ImageRef(data=b"x")),
        sample(1, ImageRef(data=b"x")),
        sample(2, ImageRef(data=b"y")),
        sample(3, cell),
        sample(4, cell),
        sample(5),
        sample(6),
    ]
    assert [len(u.samples) for u in make_units(samples)] == [2, 1, 2, 2]


def test_a_very_large_group_is_cut_but_keeps_its_common_prefix():
    samples = [sample(k, path_ref("a")) for k in range(10)]
    units = make_units(samples, max_questions=4)
    assert [len(u.samples) for u in units] == [4, 4, 2]
    assert all(len(u.group) == 10 for u in units)
    assert len({u.key for u in units}) == 3


def test_keys_do_not_depend_on_the_process():
    key = make_units([sample(1, path_ref("a"))])[0].key
    assert key == "fe12d6f4c2a7fcd8" or len(key) == 16
    assert make_units([sample(1, path_ref("elsewhere/a"))])[0].key == key


def test_dearest_first_and_begun_ones_last():
    samples = [sample(k, path_ref("abbccc"[k])) for k in range(6)]
    a, b, c = make_units(samples)
    assert in_order([a, b, c], {}) == [c, b, a]
    assert in_order([a, b, c], {c.key: 1}) == [b, a, c]
    assert in_order([a, b, c], {c.key: 2, b.key: 1}) == [a, b, c]


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([[1, 2, 3]], 2),
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2], [1, 2, 4]], 1),
        ([[1, 2, 3, 9], [1, 2, 4, 9], [1, 7, 3, 9]], 1),
        ([[1], [2]], 0),
        ([[5]], 0),
        ([], 0),
    ],
)
def test_common_prefix_leaves_a_token_of_its_own(sequences, expected):
    assert common_prefix([tuple(s) for s in sequences]) == expected


def test_select():
    samples = [sample(k) for k in range(5)]
    assert [s.question_id for s in select(samples, 2)] == [0, 1]
    assert [s.question_id for s in select(samples, 0, "3, set:1")] == [1, 3]
    with pytest.raises(DataError, match="1 of 2 sample ids are not in the dataset: 9"):
        select(samples, 0, "set:1,9")
    with pytest.raises(DataError, match="cannot read the sample ids of 'nowhere'"):
        select(samples, 0, "@nowhere")


def test_missing_images_looks_at_files_only(tmp_path):
    (tmp_path / "there").write_bytes(b"")
    there, gone = path_ref(str(tmp_path / "there")), path_ref(str(tmp_path / "gone"))
    samples = [sample(0, there), sample(1, gone), sample(2, gone), sample(3), sample(4)]
    assert [s.question_id for s in missing_images(samples)] == [1, 2]
