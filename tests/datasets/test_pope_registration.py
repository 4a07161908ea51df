"""Reading POPE in each of its layouts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError

SPLITS = ("random", "popular", "adversarial")
SUFFIX = "\nAnswer the question using a single word or phrase."
Write = Callable[[str, list[Any]], Path]


def _rows(split: str) -> list[dict[str, Any]]:
    return [
        {"question_id": n, "image": f"COCO_{n // 3}.jpg", "text": text, "label": label}
        for n, (text, label) in enumerate(
            (
                ("Is there a dog in the image?", "yes"),
                (f"Is there a {split} in the image?", "no"),
                (f"Is there a cat in the image?{SUFFIX}", "yes"),
            ),
            start=1,
        )
    ]


@pytest.fixture
def write_labels(tmp_path: Path, write_lines: Write) -> Callable[[str], None]:
    use_root(tmp_path)

    def write(folder: str) -> None:
        for split in SPLITS:
            write_lines(f"{folder}/coco_pope_{split}.json", _rows(split))

    return write


@pytest.mark.parametrize("folder", ["POPE", "POPE/coco", "POPE/output/coco", "pope"])
def test_the_authors_files_are_read_wherever_they_lie(
    tmp_path: Path, write_labels: Callable[[str], None], folder: str
) -> None:
    write_labels(folder)
    samples = samples_of("pope_test")
    assert [s.sample_id for s in samples] == [
        f"pope_test:{split}/{n}" for split in SPLITS for n in (1, 2, 3)
    ]
    third = samples[2]
    assert (third.question, third.question_id) == ("Is there a cat in the image?", 3)
    assert (third.answers, third.category) == (("yes",), "random")
    assert third.images
    assert third.images[0].path == tmp_path / "coco2014/val2014/COCO_1.jpg"
    assert samples[0].images[0] is samples[1].images[0]


def test_images_are_found_in_the_folders_that_people_use(
    tmp_path: Path, write_labels: Callable[[str], None]
) -> None:
    write_labels("POPE")
    (tmp_path / "val2014").mkdir()
    image = samples_of("pope_test")[0].images[0]
    assert image is not None
    assert image.path == tmp_path / "val2014/COCO_0.jpg"


@pytest.mark.parametrize("name", ["new_pope_test.json", "llava_pope_test.jsonl"])
@pytest.mark.parametrize("suffix", ["", SUFFIX])
def test_a_question_file_says_what_is_asked_and_in_which_order(
    tmp_path: Path,
    write_labels: Callable[[str], None],
    name: str,
    suffix: str,
) -> None:
    write_labels("POPE/coco")
    asked = [
        {
            "question_id": 10_000_000 + n,
            "image": row["image"],
            "text": row["text"].removesuffix(SUFFIX) + suffix,
            "category": split,
        }
        for split in ("adversarial", "random")
        for n, row in enumerate(_rows(split))
    ]
    text = json.dumps(asked) if name.endswith(".json") else "\n".join(map(json.dumps, asked))
    (tmp_path / "POPE" / name).write_text(text, encoding="utf-8")
    samples = samples_of("pope_test")
    assert [s.sample_id for s in samples] == [
        f"pope_test:{split}/{n}" for split in ("adversarial", "random") for n in (1, 2, 3)
    ]
    assert [s.answers[0] for s in samples] == ["yes", "no", "yes"] * 2
    assert not any("single word" in s.question for s in samples)


def test_question_files_of_another_release(
    write_labels: Callable[[str], None], write_lines: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write_labels("POPE")
    stranger = {"image": "COCO_0.jpg", "text": "Is there a yak in the image?", "category": "random"}
    path = write_lines("POPE/llava_pope_test.jsonl", [{**_rows("random")[0], **stranger}])
    assert len(samples_of("pope_test")) == 9
    assert "1 questions that POPE's label files do not hold" in caplog.text
    path.rename(path.with_name("new_pope_test.json"))
    with pytest.raises(DataError, match=r"asks 1 questions .*line 1.*different releases: take all"):
        samples_of("pope_test")


def test_a_repeated_question_gets_a_number(
    write_labels: Callable[[str], None], write_lines: Write
) -> None:
    write_labels("POPE")
    rows = _rows("random")
    write_lines("POPE/coco_pope_random.json", [*rows, rows[0]])
    ids = [s.sample_id for s in samples_of("pope_test")]
    assert ids[3] == "pope_test:random/1#2"
    assert max(Counter(ids).values()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "maybe"}, "line 1: the label must be 'yes' or 'no', got 'maybe'"),
        ({"label": None}, "line 1: no field 'label' or 'answer'; it has 'question_id', 'image'"),
        ({"image": 7}, "line 1: field 'image' must be text, got int 7"),
        ({"image": "../../etc/passwd"}, "leaves the dataset folder"),
        ({"question_id": [1]}, "line 1: field 'question_id' must be text or a whole number"),
        ({"text": None}, "line 1: no field 'text' or 'question'"),
    ],
)
def test_a_broken_record_is_named(
    write_labels: Callable[[str], None], write_lines: Write, change: dict[str, Any], said: str
) -> None:
    write_labels("POPE")
    write_lines("POPE/coco_pope_popular.json", [{**_rows("popular")[0], **change}])
    with pytest.raises(DataError, match="coco_pope_popular.json") as caught:
        samples_of("pope_test")
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path, write_labels: Callable[[str], None]) -> None:
    with pytest.raises(MissingFileError, match=r"(?s)pope_test is missing: .*/POPE or .*coco_pope"):
        samples_of("pope_test")
    write_labels("POPE")
    (tmp_path / "POPE/coco_pope_popular.json").unlink()
    with pytest.raises(MissingFileError) as caught:
        samples_of("pope_test")
    assert f"coco_pope_popular.json, is missing: looked for {tmp_path}/POPE/" in str(caught.value)
    assert "set DATASETS.ROOT" in str(caught.value)


def test_both_releases_are_recognised(shared: Path, tmp_path: Path) -> None:
    use_root(tmp_path)
    for folder, counts in (("pope", (3000, "current (3,000)")), ("pope/legacy_2910", (2910, ""))):
        shutil.rmtree(tmp_path / "POPE", ignore_errors=True)
        (tmp_path / "POPE").mkdir()
        for split in SPLITS:
            name = f"coco_pope_{split}.json"
            shutil.copy(shared / "data" / folder / name, tmp_path / "POPE" / name)
        samples = samples_of("pope_test")
        assert Counter(s.category for s in samples)["random"] == counts[0]
        assert {s.extra["release"] for s in samples} == {"", counts[1] or "legacy (2,910)"}
        assert len({s.images[0].path for s in samples if s.images}) == 500
    shutil.copy(shared / "data/pope/llava_pope_test.jsonl", tmp_path / "POPE")
    samples = samples_of("pope_test")
    assert len(samples) == 8910
    assert samples[0].sample_id == "pope_test:adversarial/1"
    assert Counter(a for s in samples for a in s.answers) == {"yes": 4500, "no": 4410}
