"""Which field of a file of predictions is the model's answer, in the files that toolkits write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from collavo.datasets.evaluation.predictions import read_answers, read_predictions
from collavo.errors import DataError
from collavo.records import Sample

Write = Callable[[str, list[Any]], Path]

GOLD = ("yes", "no", "yes")
SAID = ("No", "Yes, it is.", "no")
ASKED = ("Is there a boat?", "Is there a lamp?", "Is it red?")
SHORT = "\nAnswer the question using a single word or phrase."


def samples() -> list[Sample]:
    """Three questions whose references are `GOLD`."""
    return [
        Sample(f"set:{n}", (), ASKED[n], n, answers=(GOLD[n],), extra={"image": f"{n}.png"})
        for n in range(3)
    ]


def rows(fields: Callable[[int], Mapping[str, Any]]) -> list[Any]:
    return [{"question_id": n, **fields(n)} for n in range(3)]


def beside_gold(name: str) -> list[Any]:
    return rows(lambda n: {"question": ASKED[n], "answer": GOLD[n], name: SAID[n]})


NAMES = (
    *("pred", "preds", "predicted", "predict", "prediction", "prediction_text", "pred_answer"),
    *("pred_ans", "model_pred", "modelPrediction", "model_answer", "modelAnswer", "model_output"),
    *("model_response", "llm_response", "vlm_answer", "generated_text", "generated", "generation"),
    *("gen_text", "generated_answer", "output", "outputs", "output_text", "raw_output", "decoded"),
    *("full_output", "completion", "response", "responses", "raw_response", "full_response"),
    *("hypothesis", "hyp", "reply", "assistant", "gpt4v_output", "Prediction", "resp", "text"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_the_models_goes_before_the_reference(write_lines: Write, name: str) -> None:
    read = read_answers(write_lines("a.jsonl", beside_gold(name)), samples())
    assert (read.field, [p.answer for p in read.predictions]) == (name, list(SAID))
    assert read.unused == ("answer",)


@pytest.mark.parametrize("name", ["pred", "response", "model_answer", "answer"])
@pytest.mark.parametrize(
    "gold",
    ["gt", "gt_answer", "ground_truth", "groundTruth", "gold", "target", "label", "labels",
     "reference", "correct_answer", "expected_output", "reference_response", "gold_text"],
)  # fmt: skip
def test_a_reference_by_its_name_is_no_answer(write_lines: Write, name: str, gold: str) -> None:
    path = write_lines("a.jsonl", rows(lambda n: {gold: GOLD[n], name: SAID[n]}))
    assert [p.answer for p in read_predictions(path)] == list(SAID)
    alone = write_lines("b.jsonl", rows(lambda n: {gold: GOLD[n]}))
    with pytest.raises(DataError, match="no field 'answer' or 'text'"):
        read_predictions(alone)


NESTED: dict[str, Callable[[str], Mapping[str, Any]]] = {
    "a list": lambda x: {"outputs": [x]},
    "lists in lists": lambda x: {"generations": [[x]]},
    "pipelines of transformers": lambda x: {"generated_text": [{"generated_text": x}]},
    "turns of transformers": lambda x: {
        "generated_text": [{"role": "user", "content": "q"}, {"role": "assistant", "content": x}]
    },
    "vllm": lambda x: {"outputs": [{"index": 0, "text": x}]},
    "openai": lambda x: {"choices": [{"index": 0, "message": {"role": "assistant", "content": x}}]},
    "openai's completions": lambda x: {"choices": [{"text": x, "index": 0}]},
    "openai's batches": lambda x: {
        "response": {"status_code": 200, "body": {"choices": [{"message": {"content": x}}]}}
    },
    "openai's responses": lambda x: {
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": x}]},
        ]
    },
    "anthropic": lambda x: {
        "response": {"role": "assistant", "content": [{"type": "text", "text": x}]}
    },
    "gemini": lambda x: {"response": {"candidates": [{"content": {"parts": [{"text": x}]}}]}},
    "messages": lambda x: {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": x},
        ]
    },
    "llava's turns": lambda x: {
        "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": x}]
    },
}  # fmt: skip


@pytest.mark.parametrize("form", NESTED)
def test_texts_inside_lists_and_objects(write_lines: Write, form: str) -> None:
    for more in ({}, {"answer": "yes"}):
        path = write_lines("a.jsonl", rows(lambda n, more=more: {**NESTED[form](SAID[n]), **more}))
        gold = [Sample(f"set:{n}", (), ASKED[n], n, answers=("yes",)) for n in range(3)]
        found = read_answers(path, gold)
        assert [p.answer for p in found.predictions] == list(SAID)


@pytest.mark.parametrize(
    ("fields", "listed"),
    [
        (lambda n: {"answer": "maybe", "text": SAID[n]}, ("answer", "text")),
        (lambda n: {"raw_output": SAID[n] + "!", "output": SAID[n]}, ("raw_output", "output")),
        (lambda n: {"response": SAID[n], "answer": "perhaps"}, ("response", "answer")),
        (lambda n: {"pred": SAID[n], "text": "I see no boat."}, ("pred", "text")),
        (lambda n: {"answer": GOLD[n], "xyz": SAID[n]}, ("answer", "xyz")),
        (lambda n: {"answer": "x", "messages": [{"role": "assistant", "content": SAID[n]}]},
         ("answer", "messages")),
    ],
)  # fmt: skip
def test_several_fields_are_refused_until_one_is_named(
    write_lines: Write, fields: Callable[[int], Mapping[str, Any]], listed: tuple[str, ...]
) -> None:
    path = write_lines("a.jsonl", rows(fields))
    with pytest.raises(DataError) as caught:
        read_answers(path, samples())
    assert "--answer-field NAME" in str(caught.value)
    for name in listed:
        assert repr(name) in str(caught.value)
        assert len(read_answers(path, samples(), name).predictions) == 3
    with pytest.raises(DataError, match=r"--answer-field 'gone': no row of .* there are 'quest"):
        read_answers(path, samples(), "gone")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        # the dataset tells the question and the reference from an answer
        (lambda n: {"text": ASKED[n], "pred": SAID[n]}, "pred"),
        (lambda n: {"text": ASKED[n], "answer": SAID[n]}, "answer"),
        (lambda n: {"text": ASKED[n] + SHORT, "answer": SAID[n]}, "answer"),
        (lambda n: {"answer": GOLD[n], "text": SAID[n]}, "text"),
        (lambda n: {"prompt": ASKED[n], "answer": GOLD[n].title(), "text": SAID[n]}, "text"),
        (lambda n: {"answer": [GOLD[n]], "response": SAID[n]}, "response"),
        (lambda n: {"answer": str([GOLD[n]]), "response": SAID[n]}, "response"),
        (lambda n: {"answer": GOLD[n] == "yes", "response": SAID[n]}, "response"),
        (lambda n: {"answer": SAID[n], "answers": [GOLD[n], "maybe"]}, "answer"),
        (lambda n: {"answer": GOLD[n], "answers": [GOLD[n], "maybe"]}, "answer"),
        (lambda n: {"pred": SAID[n], "caption": "A boat.", "result": "x"}, "pred"),
        (lambda n: {"answer": SAID[n], "choices": [{"label": "A", "text": "yes"},
                                                   {"label": "B", "text": "no"}]}, "answer"),
        # ids, prompts and settings are no answers, whatever they say
        (lambda n: {"answer": GOLD[n], "model_id": "m", "answer_id": "a"}, "answer"),
        (lambda n: {"text": SAID[n], "answer_id": "x", "model": "m", "options": ["a"]}, "text"),
        (lambda n: {"answer": SAID[n], "hint": "h", "thinking": "t", "whatever": "w"}, "answer"),
        # what a parser made of the text goes behind the text, and serves alone
        (lambda n: {"pred": SAID[n], "parsed_ans": "x", "pred_letter": "A"}, "pred"),
        (lambda n: {"parsed_ans": SAID[n], "ground_truth": GOLD[n]}, "parsed_ans"),
        # one text under two names
        (lambda n: {"output": SAID[n], "outputs": [SAID[n] + " "]}, "output"),
        # a model that said nothing leaves no reference for its answer
        (lambda n: {"answer": GOLD[n], "response": None}, "response"),
        (lambda n: {"answer": SAID[n], "model_kwargs": {"a": 1}, "gen_kwargs": {}}, "answer"),
    ],
)  # fmt: skip
def test_what_the_dataset_and_the_names_tell(
    write_lines: Write, fields: Callable[[int], Mapping[str, Any]], field: str
) -> None:
    path = write_lines("a.jsonl", rows(fields))
    assert read_answers(path, samples()).field == field


def test_a_question_under_another_name_finds_the_sample(write_lines: Write) -> None:
    """LLaVA's question file, the answers written into it."""
    path = write_lines("a.jsonl", [{"text": ASKED[n], "pred": SAID[n]} for n in range(3)])
    assert [p.question for p in read_answers(path, samples()).predictions] == list(ASKED)


def test_a_row_without_the_field_of_the_others_is_named(write_lines: Write) -> None:
    """The reference of a row is not read in place of an answer that is not there."""
    given = beside_gold("pred")
    del given[1]["pred"]
    with pytest.raises(DataError, match=r"line 2: no field 'pred', which other rows have"):
        read_answers(write_lines("a.jsonl", given), samples())


def test_several_texts_in_one_field_are_refused(write_lines: Write) -> None:
    path = write_lines("a.jsonl", rows(lambda n: {"outputs": ["Yes", "No"]}))
    with pytest.raises(DataError, match="line 1: field 'outputs' .* holds 2 texts"):
        read_answers(path, samples())
    assert read_answers(path, samples(), "outputs.1").predictions[0].answer == "No"


@pytest.mark.parametrize("name", ["predictions", "results", "outputs", "data"])
def test_rows_inside_an_object(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"model": "m", name: beside_gold("pred")}))
    assert [p.answer for p in read_predictions(tmp_path / "a.json")] == list(SAID)


@pytest.mark.parametrize("name", ["prediction", "pred", "model_answer", "response"])
@pytest.mark.parametrize("ending", ["xlsx", "tsv"])
def test_tables_with_several_columns(tmp_path: Path, name: str, ending: str) -> None:
    columns = ("index", "question", "hint", "A", "B", "answer", "category", name, "log")
    cells = [(n, ASKED[n], "h", "x", "y", "B", "c", SAID[n], "l") for n in range(3)]
    path = tmp_path / f"m_SET.{ending}"
    if ending == "tsv":
        lines = ["\t".join(map(str, row)) for row in (columns, *cells)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        book = openpyxl.Workbook()
        for row in (columns, *cells):
            book.active.append(row)
        book.save(path)
    read = read_answers(path, samples())
    assert (read.field, [p.answer for p in read.predictions]) == (name, list(SAID))


def test_a_table_needs_a_column_of_the_models(tmp_path: Path) -> None:
    """Its `answer` is the dataset's own column."""
    path = tmp_path / "SET.tsv"
    path.write_text("index\tquestion\tanswer\n0\tIs it?\tyes\n", encoding="utf-8")
    for known in ([], samples()):
        with pytest.raises(DataError, match=r"no field 'prediction'; it has .*--answer-field"):
            read_answers(path, known)
    assert read_answers(path, [], "answer").predictions[0].answer == "yes"
