"""Datasets by path: any table or list of questions works, without code."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from collavo.datasets.evaluation.short_answer import edit_distance
from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.datasets.registration.generic import folder_name, is_generic, parse_name
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES, UnknownNameError

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def tsv(path: Path, rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["\t".join(names)]
    lines += ["\t".join(str(row.get(name, "")) for name in names) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"tsv:{path}"


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"jsonl:{path}"


def loaded(name: str) -> tuple[Any, list[Sample], list[str]]:
    """Returns metadata, samples and prompts."""
    metadata = metadata_of(name)
    samples = samples_of(name)
    pipeline = PIPELINES.get(metadata.pipeline)()
    assert metadata.answer_type == pipeline.answer_type
    return metadata, samples, [pipeline.prompt(sample) for sample in samples]


def score(name: str, texts: list[str], parser: str = "official") -> dict[str, Any]:
    metadata, samples, _ = loaded(name)
    answers = {s.sample_id: text for s, text in zip(samples, texts, strict=True)}
    evaluator = EVALUATORS.get(metadata.evaluator_type)(parser)
    return dict(evaluator.evaluate(samples, answers, metadata.as_dict()).scores)


def test_multiple_choice_table(tmp_path: Path) -> None:
    image = base64.b64encode(png(1)).decode()
    row = {"image": image, "question": "Which?", "A": "red", "B": "blue", "C": "", "answer": "A"}
    name = tsv(
        tmp_path / "Colors.tsv",
        [
            {"index": 4, **row, "hint": "Look.", "category": "color"},
            {"index": 5, **row, "image": 4, "C": "None", "answer": "C", "category": "none"},
            {"index": 6, **row, "image": 4, "C": "NA", "answer": "B"},
            {"index": 7, **row, "image": 4, "question": "什么颜色?", "answer": "B"},
            {"index": 8, "image": 4, "question": "Free?", "answer": "green"},
        ],
    )
    metadata, samples, prompts = loaded(name)
    assert (metadata.pipeline, metadata.evaluator_type) == ("choice", "choice")
    assert [s.sample_id for s in samples] == [f"Colors:{k}" for k in range(4, 9)]
    assert prompts == [
        f"Look.\nWhich?\nA. red\nB. blue{LETTER}",
        f"Which?\nA. red\nB. blue\nC. None{LETTER}",
        f"Which?\nA. red\nB. blue\nC. NA{LETTER}",
        "什么颜色?\nA. red\nB. blue\n请直接回答选项字母。",
        f"Free?{SHORT}",
    ]
    assert PIPELINES.get("choice")(style="clean").prompt(samples[2]).count("C. NA") == 1
    assert samples[1].images[0] is samples[0].images[0]
    assert samples[0].images[0].read() == png(1)
    scores = score(name, ["A.", "The answer is None", "red", "(B)", "Green."])
    assert scores["accuracy"] == 80
    assert scores["categories"]["color"] == {"accuracy": 100, "questions": 1}
    assert set(scores["parsers"]) >= {"official", "exact", "letter_or_text", "lmms_eval"}
    assert scores["parsers"]["exact"]["accuracy"] == 20


def test_rotated_options_count_together(tmp_path: Path) -> None:
    row = {"question": "Which?", "A": "red", "B": "blue"}
    rows = [{"index": 3, **row, "answer": "A"}, {"index": 1000003, **row, "answer": "B"}]
    name = tsv(tmp_path / "Circle.tsv", [*rows, {"index": 4, **row, "answer": "A"}])
    assert metadata_of(name).evaluator_type == "mmbench"
    scores = score(name, ["A", "A", "A"])
    assert (scores["circular_accuracy"], scores["vanilla_accuracy"]) == (0.5, 1.0)
    assert score(name, ["A", "B", "A"])["circular_accuracy"] == 1.0


def test_yes_no_table(tmp_path: Path) -> None:
    name = tsv(
        tmp_path / "Spots.tsv",
        [
            {"index": k, "question": f"Spot {k}?", "answer": answer, "category": "ab"[k % 2]}
            for k, answer in enumerate(("Yes", "No", "yes", "no", ""))
        ],
    )
    metadata, samples, prompts = loaded(name)
    assert (metadata.pipeline, metadata.evaluator_type) == ("yes_no", "yes_no")
    assert prompts[0] == f"Spot 0?{SHORT}"
    assert all(not s.images for s in samples), "a table without images asks without"
    texts = ["Yes.", "no", "maybe", "yes and no", "yes"]
    scores = score(name, texts)
    assert (scores["accuracy"], scores["questions"], scores["other"]) == (50, 4, 2)
    assert scores["precision"] == 100 and scores["recall"] == 50
    assert scores["categories"]["b"]["accuracy"] == 50
    # POPE's rule: whatever has no "no" is yes
    assert score(name, texts, "pope")["accuracy"] == 100
    assert scores["parsers"]["pope"]["accuracy"] == 100


def test_references_and_vqa(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(png(1))
    rows = [
        {"id": "x", "image": "1.png", "question": "What?", "answers": ["cat"] * 3 + ["dog"] * 7},
        {"id": "x", "image": "1.png", "query": "How many?", "answers": [{"answer": "2"}] * 10},
    ]
    metadata, samples, prompts = loaded(jsonl(tmp_path / "v.jsonl", rows))
    assert (metadata.pipeline, metadata.evaluator_type) == ("short_answer", "vqa_accuracy")
    assert [s.sample_id for s in samples] == ["v:x", "v:x#2"]
    assert samples[0].images[0] is samples[1].images[0]
    assert samples[0].images[0].path == tmp_path / "images/1.png"
    assert prompts[1] == f"How many?{SHORT}"
    assert score(f"jsonl:{tmp_path}/v.jsonl", ["cat", "two"])["accuracy"] == pytest.approx(95)


def test_short_answers_and_named_metrics(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "answer": a} for a in ("The Cat", "3", 2.0)]
    name = jsonl(tmp_path / "s.jsonl", [*rows, {"question": "Hidden?"}])
    assert metadata_of(name).evaluator_type == "short_answer"
    texts = ["cat", "three", "it is 2", "?"]
    scores = score(name, texts)
    assert scores["accuracy"] == pytest.approx(200 / 3) and scores["questions"] == 3
    assert scores["parsers"]["contains"]["accuracy"] == 100
    assert scores["parsers"]["exact"]["accuracy"] == 0
    assert score(f"{name}?metric=exact", ["The Cat", "3", "2", ""])["accuracy"] == 100
    assert score(f"{name}?metric=anls", ["the  cat", "3", "25", ""])["anls"] == pytest.approx(
        250 / 3
    )
    assert score(f"{name}?metric=relaxed", ["the cat", "3.1", "2", ""])["accuracy"] == 100
    metadata = metadata_of(f"{name}?metric=vqav2&pipeline=open")
    assert (metadata.evaluator_type, metadata.pipeline) == ("vqav2", "open")
    assert metadata_of(f"{name}?evaluator=text").evaluator_type == "short_answer"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", "B"), ("b", "B"), ("(B)", "B"), ("two", "B"), (1, "B"), ("1", "B"), ("B.", "B")],
)
@pytest.mark.parametrize("form", ["list", "dict", "columns", "text", "lines"])
def test_options_and_answers_of_every_form(
    tmp_path: Path, answer: Any, letter: str, form: str
) -> None:
    texts = {"A": "one", "B": "two", "C": "None"}
    options: dict[str, Any] = {
        "list": {"options": list(texts.values())},
        "dict": {"choices": texts},
        "columns": texts,
        "text": {"options": str(list(texts.values()))},
        "lines": {"candidates": "one\ntwo\nNone"},
    }[form]
    name = jsonl(tmp_path / "f.jsonl", [{"question": "Which?", "answer": answer, **options}])
    _, (sample,), _ = loaded(name)
    assert sample.answers == (letter,)
    assert sample.extra["choices"] == texts


def test_numbers_as_options_are_texts_first(tmp_path: Path) -> None:
    rows = [{"question": "How many?", "options": [1, 2, 3], "answer": "2"}]
    _, (sample,), prompts = loaded(jsonl(tmp_path / "n.jsonl", rows))
    assert sample.answers == ("B",)
    assert prompts == [f"How many?\nA. 1\nB. 2\nC. 3{LETTER}"]


def test_conversations_of_llava(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat"}]
    path = tmp_path / "c.json"
    path.write_text(json.dumps([{"id": "a", "image": "x.jpg", "conversations": turns}]))
    _, (sample,), prompts = loaded(f"json:{path}")
    assert (sample.question, sample.answers) == ("What is it?", ("A cat",))
    assert prompts == [f"What is it?{SHORT}"]


def test_images_of_every_form(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(2))
    encoded = base64.b64encode(png(3)).decode()
    rows = [
        {"question": "q", "image": "a.png"},
        {"question": "q", "images": ["a.png", "b.png"]},
        {"question": "q", "image": {"path": "a.png"}},
        {"question": "q", "image": f"data:image/png;base64,{encoded}"},
        {"question": "q", "image": encoded + "\n" * 300},
        {"question": "q", "image": str(folder / "a.png")},
        {"question": "q", "image": None},
    ]
    name = f"{jsonl(tmp_path / 'i.jsonl', rows)}?image_root={folder}"
    samples = loaded(name)[1]
    read = [s.images[0].read() if s.images else None for s in samples]
    assert read == [png(2), png(2), png(2), png(3), png(3), png(2), None]


def test_hugging_face_folder(tmp_path: Path) -> None:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("question", pa.string()), ("answer", pa.string()), ("image", struct)])
    rows = [
        {"question": "Is it?", "answer": "Yes", "image": {"bytes": png(k), "path": None}}
        for k in (1, 2)
    ]
    (tmp_path / "mine/part").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, tmp_path / "mine/part/val-00000-of-00001.parquet")
    metadata, samples, _ = loaded(f"hf:{tmp_path}/mine?split=val&config=part")
    assert metadata.evaluator_type == "yes_no"
    assert [s.images[0].read() for s in samples if s.images] == [png(1), png(2)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "x"}, "no field 'question' or 'text'"),
        ({"question": 3}, "'question' must be text"),
        ({"question": "q", "options": 4}, "options must be at most 26 texts"),
        ({"question": "q", "options": "a, b, c"}, "the options are one text that is no list"),
        ({"question": "q", "options": "['a'"}, "the options are one text that is no list"),
        ({"question": "q", "answer": {"a": 1}}, "'answer' must be text"),
        ({"question": "q", "image": 5}, "the image in 'image' must be a path or base64"),
        ({"question": "q", "image": "https://x.org/a.jpg"}, "images are not downloaded"),
        ({"question": "q", "image": "../../a.jpg"}, "image_root"),
        ({"question": "q", "image": "a\0b"}, "is no image path"),
        ({"question": "q", "id": [1]}, "must be text or a whole number"),
        ({"conversations": "x"}, "must be a list of turns"),
        ({"conversations": [{"from": "human", "value": 3}]}, "has no text in 'value'"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        metadata_of(jsonl(tmp_path / "b.jsonl", [row]))
    assert said in str(caught.value) and "b.jsonl, line 1" in str(caught.value)


def test_wrong_names(tmp_path: Path) -> None:
    name = jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}])
    with pytest.raises(ConfigError, match="unknown option 'metrik' .* there are metric, pipeline"):
        metadata_of(f"{name}?metrik=vqa")
    with pytest.raises(UnknownNameError, match="Unknown evaluator 'vq'"):
        metadata_of(f"{name}?metric=vq")
    with pytest.raises(MissingFileError, match="gone.jsonl is not there"):
        metadata_of(f"jsonl:{tmp_path}/gone.jsonl")
    with pytest.raises(UnknownNameError, match="csv"):
        metadata_of(f"csv:{tmp_path}/a.csv")
    with pytest.raises(ConfigError, match="is no dataset by path"):
        parse_name("pope_test")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    name = jsonl(path, [{"question": "q", "answer": "a"}])
    first = samples_of(name)
    again = samples_of(name)
    assert again == first and again is not first and again[0] is first[0]
    jsonl(path, [{"question": "another", "answer": "a"}])
    assert samples_of(name)[0].question == "another"
    path.unlink()
    with pytest.raises(MissingFileError, match="a.jsonl is not there"):
        samples_of(name)


def test_folder_names() -> None:
    assert folder_name("pope_test") == "pope_test"
    name = folder_name("tsv:/data/My Set é.tsv?metric=vqa")
    assert name.startswith("tsv-My_Set_-") and name.isascii() and "/" not in name
    assert name != folder_name("tsv:/other/My Set é.tsv?metric=vqa")
    assert is_generic("jsonl:/a?b=c") and not is_generic("mme") and not is_generic("tsv:")
    assert len(folder_name(f"tsv:/{'x' * 500}.tsv")) < 100
    assert "/" not in folder_name("../../etc")


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)]
)
def test_edit_distance(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance
