"""Finding the sample of each stored answer, in the files that people have."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.prediction import Prediction
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.errors import DataError, MissingFileError
from collavo.records import Sample

END = " Please answer yes or no."
SHORT = "\nAnswer the question using a single word or phrase."
Write = Callable[[str, list[Any]], Path]


def _pope() -> list[Sample]:
    """Three splits with the ids 1 to 4; two questions an image, the first the same everywhere."""
    offsets = {"random": 10_000_000, "popular": 20_000_000, "adversarial": 0}
    return [
        Sample(
            sample_id=f"pope_test:{split}/{n}",
            images=(),
            question=f"Is there a {'dog' if n % 2 else split + str(n)} in the image?",
            question_id=n,
            answers=("yes",),
            category=split,
            extra={
                "image": f"COCO_{(n + 1) // 2}.jpg",
                "other_ids": (f"{split}/{n}",),
                "llava_id": offset + n,
            },
        )
        for split, offset in offsets.items()
        for n in (1, 2, 3, 4)
    ]


def _mme() -> list[Sample]:
    return [
        Sample(
            sample_id=f"mme:{task}/{image}/{question}",
            images=(),
            question=f"{question}{END}",
            question_id=f"{task}/images/{image}.jpg",
            answers=(label,),
            category=task,
            extra={"image": f"{task}/images/{image}.jpg", "other_ids": (f"{task}/{image}",)},
        )
        for task in ("OCR", "scene")
        for image in ("0001", "0002")
        for question, label in (("Is it a dog?", "yes"), ("Is it a &quot;cat&quot;?", "no"))
    ]


def _check(samples: list[Sample], rows: list[Prediction]) -> None:
    """Each answer carries its sample's id; so a shifted pairing shows."""
    dice = random.Random(0)
    found = match(dice.sample(samples, len(samples)), dice.sample(rows, len(rows)))
    assert found.complete, (found.unknown, found.missing, found.doubled)
    assert found.answers == {s.sample_id: s.sample_id for s in samples}


def _row(sample: Sample, **fields: Any) -> Prediction:
    return Prediction("row", sample.sample_id, **fields)


def test_pope_by_each_kind_of_id() -> None:
    samples = _pope()
    _check(samples, [_row(s, sample_id=s.sample_id) for s in samples])
    _check(samples, [_row(s, question_id=s.sample_id) for s in samples])
    _check(samples, [_row(s, question_id=f"{s.category}/{s.question_id}") for s in samples])
    _check(samples, [_row(s, question_id=str(s.extra["llava_id"])) for s in samples])
    _check(
        samples,
        [
            _row(s, question_id=str(s.question_id), categories=(s.category.upper(),))
            for s in samples
        ],
    )


def test_pope_by_another_numbering() -> None:
    samples = _pope()
    rows = [
        _row(
            s,
            question_id=str(n),
            question=s.question + SHORT,
            image="val2014/" + s.extra["image"].removesuffix(".jpg"),
            categories=(s.category,),
        )
        for n, s in enumerate(samples)
    ]
    _check(samples, rows)


def test_an_id_that_repeats_does_not_decide_alone() -> None:
    samples = _pope()
    found = match(samples, [Prediction("line 1", "Yes", question_id="1")])
    assert not found.answers
    assert found.unknown == [
        "'1' (line 1): it fits several samples; add category, image or question to its row"
    ]
    assert len(found.missing) == 12


def test_llavas_ids_of_one_split_name_it_only_beside_ids_that_none_else_has() -> None:
    samples = _pope()
    alone = match(samples, [Prediction("a", "Yes", question_id="2")])
    assert not alone.answers
    rows = [Prediction("a", "Yes", question_id="2"), Prediction("b", "No", question_id="10000002")]
    assert match(samples, rows).answers == {
        "pope_test:adversarial/2": "Yes",
        "pope_test:random/2": "No",
    }


@pytest.mark.parametrize(
    "form",
    [
        lambda s: s.question,
        lambda s: s.question.removesuffix(END) + SHORT,
        lambda s: s.question.removesuffix(END) + "  " + END,
        lambda s: "  " + s.question.replace("&quot;", '"').upper(),
        lambda s: f"USER: <image>\n{s.question} ASSISTANT:",
    ],
)
def test_mme_by_image_and_question(form: Callable[[Sample], str]) -> None:
    samples = _mme()
    for name in (
        lambda s: str(s.question_id),
        lambda s: str(s.question_id).replace("/images", "").replace(".jpg", ".png"),
        lambda s: f"{s.category}/{s.extra['image'].split('/')[-1][:4]}",
        lambda s: str(s.question_id).replace("/", "\\"),
    ):
        _check(samples, [_row(s, question_id=name(s), question=form(s)) for s in samples])
    if "USER" not in form(samples[0]):
        rows = [
            _row(s, question_id=str(n), question=form(s), image=f"{s.extra['image'][-8:-4]}.txt",
                 categories=(s.category,))
            for n, s in enumerate(samples)
        ]  # fmt: skip
        _check(samples, rows)


def test_a_row_that_contradicts_its_id_is_not_taken() -> None:
    samples = _pope()
    for fields in (
        {"question": "Is there a yak in the image?"},
        {"image": "COCO_9.jpg"},
        {"question": samples[1].question, "image": "COCO_2.jpg"},
    ):
        found = match(samples, [_row(samples[0], sample_id=samples[0].sample_id, **fields)])
        assert not found.answers
        assert "is not that of the dataset's question" in found.unknown[0]
    # The id is of another numbering, and the question decides.
    other = Prediction("a", "No", question_id="2", question="Is there a random4 in the image?")
    assert match(samples, [other]).answers == {"pope_test:random/4": "No"}


def test_unknown_missing_doubled_and_failed_answers_are_told_apart() -> None:
    samples = _pope()[:3]
    rows = [
        Prediction("line 1", "first", sample_id="pope_test:random/1"),
        Prediction("line 2", "second", sample_id="pope_test:random/1"),
        Prediction("line 3", None, sample_id="pope_test:random/2"),
        Prediction("line 4", "Yes", sample_id="pope_test:random/99"),
        Prediction("line 5", "Yes"),
    ]
    found = match(samples, rows)
    assert found.answers == {"pope_test:random/1": "first"}
    assert found.doubled == ["pope_test:random/1 (line 2)"]
    assert found.missing == [
        "pope_test:random/2 (its row holds no answer)",
        "pope_test:random/3",
    ]
    assert found.unknown == [
        "'pope_test:random/99' (line 4): unknown sample_id",
        "'' (line 5): the row gives neither sample_id nor question_id nor question",
    ]


HARD = [
    "",
    " ",
    "a\nb\tc",
    "🐶" * 3,
    "\uff39\uff45\uff53",
    "x\x00y",
    "\ud83d",
    "y" * 100_000,
    "\u2028",
]


@pytest.mark.parametrize("array", [False, True])
def test_every_answer_survives_the_file(tmp_path: Path, array: bool) -> None:
    rows = [{"question_id": n, "answer": answer} for n, answer in enumerate(HARD)]
    text = json.dumps(rows) if array else "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    found = read_predictions(tmp_path / "a.jsonl")
    # half of a character can stand in no file of ours
    whole = [answer.replace("\ud83d", "\ufffd") for answer in HARD]
    assert [(p.question_id, p.answer) for p in found] == [(str(n), a) for n, a in enumerate(whole)]


@pytest.mark.parametrize(
    ("row", "answer", "key"),
    [
        ({"question_id": 7, "answer": "No"}, "No", "7"),
        ({"question_id": 7.0, "text": "No", "prompt": "q"}, "No", "7"),
        ({"index": "7", "answer": "Yes", "prediction": "No"}, "No", "7"),
        ({"question_id": " 7 ", "answer": 5}, "5", "7"),
        ({"question_id": "7", "answer": 10**400}, str(10**400), "7"),
        ({"question_id": "7", "answer": None}, None, "7"),
        ({"question_id": "7", "response": "No", "text": "Is it?"}, "No", "7"),
        ({"doc_id": 0, "doc": {"question_id": "7"}, "filtered_resps": ["No"]}, "No", "7"),
        ({"doc_id": 0, "mme": {"question_id": 7, "score": 1.0}, "resps": [["No"]]}, "No", "7"),
    ],
)
def test_the_rows_of_each_toolkit(
    write_lines: Write, row: dict[str, Any], answer: str | None, key: str
) -> None:
    found = read_predictions(write_lines("answers.jsonl", [row, row]))
    assert [(p.answer, p.question_id) for p in found] == [(answer, key)] * 2


def test_an_object_of_ids_and_the_older_log_of_lmms_eval(tmp_path: Path) -> None:
    for indent in (None, 1):
        (tmp_path / "a.json").write_text(json.dumps({"1": "Yes", "2": "No"}, indent=indent))
        found = read_predictions(tmp_path / "a.json")
        assert [(p.question_id, p.answer) for p in found] == [("1", "Yes"), ("2", "No")]
    logs = [{"doc": {"question_id": "1", "image": {"bytes": 1}}, "filtered_resps": ["Yes"]}]
    (tmp_path / "b.json").write_text(json.dumps({"args": {}, "logs": logs}))
    found = read_predictions(tmp_path / "b.json")
    assert [(p.question_id, p.answer, p.image) for p in found] == [("1", "Yes", "")]


def test_a_table_of_vlmevalkit(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (
        ("index", "question", "answer", "category", "image_path", "prediction"),
        (0, "Is there a dog in the image?", "Yes", "random,popular", "COCO_1.jpg", "No, none"),
        (1, "Is there a random2 in the image?", "No", "random", "COCO_1.jpg", None),
    ):
        book.active.append(row)
    book.save(tmp_path / "model_POPE.xlsx")
    found = match(_pope(), read_predictions(tmp_path / "model_POPE.xlsx"))
    assert found.answers == {
        "pope_test:random/1": "No, none",
        "pope_test:popular/1": "No, none",
        "pope_test:random/2": "",
    }
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 not a table")
    with pytest.raises(DataError, match=r"broken\.xlsx cannot be read as an xlsx table"):
        read_predictions(tmp_path / "broken.xlsx")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question_id": 1}, "line 1: no field 'answer' or 'text'; it has 'question_id'"),
        ({"question_id": 1, "answer": ["No", "A"]}, "'answer' must be text, got list that holds 2"),
        ({"question_id": 1, "answer": []}, "line 1: field 'answer' must be text, got list"),
        ({"question_id": 1, "answer": True}, "must be text, got bool"),
        ({"question_id": {}, "answer": "No"}, "field 'question_id' must be text or a whole number"),
        ({"doc_id": 1, "resps": [[]]}, "line 1: 'filtered_resps' holds no text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    write_lines: Write, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_predictions(write_lines("answers.jsonl", [row]))
    assert said in str(caught.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; give the file of answers"):
        read_predictions(tmp_path)
    with pytest.raises(MissingFileError, match="gone.jsonl is not there"):
        read_predictions(tmp_path / "gone.jsonl")
