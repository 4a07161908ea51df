"""Conversations as rows: turns are taken by who speaks, and their images with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.registration.catalog import notes_of, samples_of
from collavo.errors import DataError
from tests.datasets.own_rows import labels, name_of, read

TALK = [
    {"from": "human", "value": "<image>\nHow many?"},
    {"from": "gpt", "value": "two"},
    {"from": "human", "value": "Which color?"},
    {"from": "gpt", "value": "red"},
]


@pytest.mark.parametrize(
    ("turns", "question", "answers"),
    [
        (TALK[:2], "How many?", ("two",)),
        (TALK[:1], "How many?", ()),
        ([{"from": "system", "value": "Be brief."}, *TALK[:2]], "How many?", ("two",)),
        ([{"from": "gpt", "value": "Hello."}, *TALK[:2]], "How many?", ("two",)),
        (TALK, "Question: How many?\nAnswer: two\nQuestion: Which color?", ("red",)),
        (TALK[:3], "Question: How many?\nAnswer: two\nQuestion: Which color?", ()),
        (
            [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How?"}]},
                {"role": "assistant", "content": "so"},
            ],
            "How?",
            ("so",),
        ),
        ([{"role": "user", "content": [{"image": "a.png"}, {"text": "How?"}]}], "How?", ()),
        (json.dumps(TALK[:2]), "How many?", ("two",)),
    ],
)
@pytest.mark.parametrize("field", ["conversations", "messages"])
def test_turns_are_taken_by_role(
    folder: Path, turns: Any, question: str, answers: tuple[str, ...], field: str
) -> None:
    name = name_of(folder, {"id": 1, "image": "a.png", field: turns})
    (sample,) = samples_of(name)
    assert (sample.question, sample.answers) == (question, answers)
    said = " ".join(notes_of(name))
    assert ("system turn" in said) == ("Be brief." in str(turns))
    assert ("several exchanges" in said) == question.startswith("Question:")


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([{"value": "What?"}], "is from None; it may be from human, user"),
        ([{"from": "narrator", "value": "What?"}], "is from 'narrator'"),
        ([{"from": "gpt", "value": "It."}], "no turn is a user's"),
        ([{"from": "human"}], "has no text"),
        (["What?"], "must be a list of turns"),
        ([{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}], "text and images"),
        ([{"from": "human", "value": "<video>\nWhat?"}], "holds <video>"),
    ],
)
def test_turns_of_nobody_are_refused(folder: Path, turns: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(folder, {"image": "a.png", "conversations": turns})


def test_images_that_turns_bring(folder: Path) -> None:
    part = {"type": "image_url", "image_url": {"url": "b.png"}}
    content = [part, {"type": "text", "text": "How?"}]
    (sample,) = read(folder, {"messages": [{"role": "user", "content": content}]})
    assert labels([sample]) == [["b.png"]]

    turn = {"role": "user", "content": "How?", "images": ["b.png", "a.png"]}
    assert labels(read(folder, {"messages": [turn]})) == [["b.png", "a.png"]]
    name = name_of(folder, {"messages": [{**turn, "weight": 1}], "image": "a.png"})
    assert labels(samples_of(name)) == [["a.png"]]
    said = " ".join(notes_of(name))
    assert "those of the field are shown" in said and "'weight'" in said
    with pytest.raises(DataError, match="says <image>, but the row has no image"):
        read(folder, {"messages": [{"role": "user", "content": [{"type": "image"}, "How?"]}]})


def test_a_conversation_beside_other_fields(folder: Path) -> None:
    """Without the answer a conversation leaves it to the fields, else those are told."""
    row = {"image": "a.png", "answer": "gold", "question": "Else?"}
    assert read(folder, {**row, "conversations": TALK[:1]})[0].answers == ("gold",)
    name = name_of(folder, {**row, "conversations": TALK[:2]})
    assert samples_of(name)[0].answers == ("two",)
    assert "'answer' (1), 'question' (1)" in " ".join(notes_of(name))
    assert read(folder, {**row, "conversations": []})[0].question == "Else?"
