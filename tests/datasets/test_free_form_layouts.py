"""Every layout of the free-form benchmarks gives the same samples; broken ones are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.prediction import Prediction
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.layouts import layout_of, use_layout
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError, MissingFileError

Write = Callable[[str, Any], Path]
Parquet = Callable[[str, list[dict[str, Any]]], Path]


@pytest.fixture(autouse=True)
def _auto_layout() -> Iterator[None]:
    use_layout("auto")
    yield
    use_layout("auto")


def _question(**more: Any) -> dict[str, Any]:
    return {
        "question": "Is it overcast?",
        "imageId": "n1",
        "answer": "no",
        "isBalanced": True,
        "groups": {"global": None, "local": "13-weather"},
        "entailed": ["2"],
        "types": {"structural": "verify", "semantic": "global", "detailed": "weatherVerify"},
        "semantic": [
            {"operation": "select", "dependencies": [], "argument": "scene"},
            {"operation": "verify", "dependencies": [0], "argument": "cloudy"},
            {"operation": "exist", "dependencies": [0], "argument": "?"},
        ],
        **more,
    }


def test_gqa_in_every_layout(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    prompt = "Is it overcast?\nAnswer the question using a single word or phrase."
    row = {"question_id": "1", "image": "n1.jpg", "text": prompt, "category": "default"}
    write_tree("llava/GQA/data/llava_gqa_testdev_balanced.jsonl", [row])
    write_tree("original/GQA/testdev_balanced_questions.json", {"1": _question()})
    write_tree(
        "table/GQA_TestDev_Balanced.tsv",
        "index\timage_path\tquestion\tanswer\n1\tn1.jpg\tIs it overcast?\tno\n",
    )
    write_parquet(
        "hub/GQA/testdev_balanced_images/testdev-00000-of-00001.parquet",
        [{"id": "n1", "image": {"bytes": png, "path": "n1.jpg"}}],
    )
    write_parquet(
        "hub/GQA/testdev_balanced_instructions/testdev-00000-of-00001.parquet",
        [{"id": "1", **_question(entailed="['2']")}],
    )
    found = {}
    for name in ("original", "llava", "hub", "table"):
        use_root(tmp_path / name)
        (found[name],) = samples_of("gqa_testdev_balanced")
        assert found[name].sample_id == "gqa_testdev_balanced:1"
        assert found[name].question == "Is it overcast?"
    assert found["llava"].answers == ()
    for name in ("original", "hub", "table"):
        assert found[name].answers == ("no",)
    for name in ("original", "hub"):
        assert found[name].extra["steps"] == 2
        assert found[name].extra["entailed"] == ("2",)
        assert found[name].extra["types"]["structural"] == "verify"
    assert found["hub"].images
    assert found["hub"].images[0].read() == png


def test_textvqa_joins_llavas_list_with_the_answers(write_tree: Write) -> None:
    short = "\nAnswer the question using a single word or phrase."
    gold = [
        {"question_id": 34602, "image_id": "a", "question": "what is it?", "answers": ["x"] * 10},
        {"question_id": 34603, "image_id": "a", "question": "what is it now?", "answers": ["y"]},
    ]
    asked = [
        {"question_id": "a", "image": "a.jpg", "text": f"{q}\nReference OCR token: X, y{short}"}
        for q in ("What is it now?", "What is it?")
    ]
    write_tree("TextVQA/TextVQA_0.5.1_val.json", {"data": gold})
    write_tree("TextVQA/llava_textvqa_val_v051_ocr.json", asked)
    samples = samples_of("textvqa_val")
    assert layout_of("textvqa_val") == "original"
    assert [s.question_id for s in samples] == [34603, 34602]
    assert [s.answers[0] for s in samples] == ["y", "x"]
    # LLaVA's answers carry the image's id only: the prompt decides
    rows = [{"question_id": "a", "prompt": row["text"], "text": row["text"][:12]} for row in asked]
    found = match(samples, read_predictions(write_tree("answers.jsonl", rows)))
    assert found.complete
    use_layout("authors")
    assert [s.question_id for s in samples_of("textvqa_val")] == [34602, 34603]
    asked[0]["text"] = "Where is it?" + short
    write_tree("TextVQA/llava_textvqa_val_v051_ocr.json", asked)
    use_layout("auto")
    with pytest.raises(DataError, match="no question about 'a' like 'Where is it"):
        samples_of("textvqa_val")


def test_textvqa_of_other_toolkits(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    row = {
        "image_id": "a",
        "question_id": 5,
        "question": "what is it?",
        "answers": ["x"] * 10,
        "ocr_tokens": ["X", "y"],
        "image": {"bytes": png, "path": None},
    }
    write_parquet("hub/textvqa/data/validation-00000-of-00001.parquet", [row])
    use_root(tmp_path / "hub")
    (sample,) = samples_of("textvqa_val")
    assert sample.extra["ocr_tokens"] == ("X", "y")
    write_tree(
        "table/TextVQA_VAL.tsv",
        "index\timage_path\tquestion\tanswer\n5\ta.jpg\twhat is it?\t['x', \"y's\"]\n",
    )
    use_root(tmp_path / "table")
    (sample,) = samples_of("textvqa_val")
    assert sample.answers == ("x", "y's")


@pytest.mark.parametrize(
    ("dataset", "folder", "before"), [("vqav2_val", "VQAv2", "v2_"), ("okvqa_val", "OK-VQA", "")]
)
def test_vqa_of_the_organisers(write_tree: Write, dataset: str, folder: str, before: str) -> None:
    asked = {"image_id": 262148, "question": "Where is he?", "question_id": 262148000}
    answers = [{"answer": f"a{k}", "answer_id": k} for k in range(10)]
    facts = {"question_type": "where is", "answer_type": "other", "answers": answers}
    questions = f"{folder}/{before}OpenEnded_mscoco_val2014_questions.json"
    annotations = f"{folder}/{before}mscoco_val2014_annotations.json"
    write_tree(questions, {"questions": [asked]})
    write_tree(annotations, {"annotations": [{"question_id": 262148000, **facts}]})
    (sample,) = samples_of(dataset)
    assert sample.question_id == 262148000
    assert sample.answers == tuple(f"a{k}" for k in range(10))
    assert sample.extra["question_type"] == "where is"
    assert sample.images
    assert sample.images[0].label.endswith("COCO_val2014_000000262148.jpg")
    write_tree(annotations, {"annotations": [{"question_id": 1, **facts}]})
    with pytest.raises(DataError, match="no annotation of question 262148000"):
        samples_of(dataset)
    write_tree(questions, {"questions": [asked | {"image_id": "x.jpg"}]})
    with pytest.raises(DataError, match="image_id"):
        samples_of(dataset)


def test_vqav2_testdev_hides_its_answers(write_tree: Write) -> None:
    asked = {"image_id": 1, "question": "Where?", "question_id": 1000}
    write_tree("VQAv2/v2_OpenEnded_mscoco_test-dev2015_questions.json", {"questions": [asked]})
    (sample,) = samples_of("vqav2_testdev")
    assert sample.answers == ()
    assert sample.extra["image"] == "COCO_test2015_000000000001.jpg"


def test_vizwiz_in_every_layout(
    write_tree: Write, write_parquet: Parquet, png: bytes, tmp_path: Path
) -> None:
    image, answers = "VizWiz_val_00000000.jpg", [{"answer": "soda", "answer_confidence": "yes"}]
    facts = {"question": "What is this? ", "answers": answers * 10, "answer_type": "other"}
    write_tree("original/VizWiz/Annotations/val.json", [{"image": image, **facts, "answerable": 1}])
    blind = "When the provided information is insufficient, respond with 'Unanswerable'."
    text = f"What is this? \n{blind}\nAnswer the question using a single word or phrase."
    write_tree("llava/VizWiz/llava_val.jsonl", [{"question_id": 0, "image": image, "text": text}])
    row = {
        "question_id": "VizWiz_val_00000000",
        "question": "What is this? ",
        "category": "other",
        "answers": ["soda"] * 10,
        "image": {"bytes": png, "path": None},
    }
    write_parquet("hub/VizWiz/data/val-00000-of-00001.parquet", [row])
    for name in ("original", "llava", "hub"):
        use_root(tmp_path / name)
        (sample,) = samples_of("vizwiz_val")
        assert sample.sample_id == f"vizwiz_val:{image}"
        assert sample.question == "What is this? "
        assert sample.answers == (() if name == "llava" else ("soda",) * 10)
        for key in ("0", image, "VizWiz_val_00000000"):
            found = match([sample], [Prediction("row 1", "soda", question_id=key)])
            assert found.complete, key


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("gqa_testdev_balanced", "testdev_balanced_questions.json"),
        ("textvqa_val", "TextVQA_0.5.1_val.json"),
        ("vqav2_val", "v2_mscoco_val2014_annotations.json"),
        ("vizwiz_test", "llava_test.jsonl"),
        ("okvqa_val", "mscoco_val2014_annotations.json"),
        ("chartqa_test", "test_human.json"),
        ("ocrbench", "OCRBench.json"),
        ("refcocog_test", r"refs\(umd\).p"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, dataset: str, name: str) -> None:
    use_root(tmp_path)
    with pytest.raises(MissingFileError, match=name):
        samples_of(dataset)


def test_the_organisers_own_answer_files_are_read(write_tree: Write) -> None:
    write_tree("GQA/testdev_balanced_questions.json", {"1": _question()})
    write_tree("VizWiz/val.json", [{"image": f"{k}.jpg", "question": "What?"} for k in "ab"])
    gqa = write_tree("gqa.json", [{"questionId": "1", "prediction": "no"}])
    vizwiz = write_tree("vizwiz.json", [{"image": f"{k}.jpg", "answer": "soda"} for k in "ba"])
    for dataset, file, texts in (
        ("gqa_testdev_balanced", gqa, ["no"]),
        ("vizwiz_val", vizwiz, ["soda", "soda"]),
    ):
        found = match(samples_of(dataset), read_predictions(file))
        assert found.complete
        assert list(found.answers.values()) == texts
