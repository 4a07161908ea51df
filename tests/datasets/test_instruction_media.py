"""Training rows about other media than images are left out by name, never trained blind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.instruction.llava import LlavaSource
from collavo.datasets.instruction.rows import measure, read_row
from collavo.datasets.instruction.source import SourceSpec

ROOT = Path("/data")


def row(**fields: Any) -> dict[str, Any]:
    text = fields.pop("text", "What is it?")
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": "A ball."}]
    return {"id": "1", "conversations": turns, **fields}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"video": "a.mp4"}, "it has 'video', another medium"),
        ({"videos": ["a.mp4"]}, "it has 'videos', another medium"),
        ({"audio": "a.wav", "image": "a.png", "text": "<image>x"}, "it has 'audio', another"),
        ({"video_path": "a.mp4"}, "it has 'video_path', another medium"),
        ({"videoFile": "a"}, "it has 'videoFile', another medium"),
        ({"Audio": {"path": "a.wav"}}, "it has 'Audio', another medium"),
        ({"media": ["a.jpg", "b.webm"]}, "it has 'media', another medium"),
        ({"text": "<video>\nWhat happens?"}, "turn 1 holds <video>"),
        ({"text": "Listen: <Audio>"}, "turn 1 holds <Audio>"),
        ({"text": "<|video_pad|> What happens?"}, "turn 1 holds <|video_pad|>"),
        ({"text": "<video_1> What happens?"}, "turn 1 holds <video_1>"),
        ({"img": "a.png"}, "it has 'img', which looks like an image"),
        ({"image_id": 139}, "it has 'image_id', which looks like an image"),
        ({"source": "photos/a.JPG"}, "it has 'source', which looks like an image"),
        ({"text": "Picture 1: <img>a.png</img>\nWhat?"}, "turn 1 names its image as '<img>a.png"),
        ({"image": "a.png", "images": ["b.png"], "text": "<image>x"}, "both 'image' str 'a.png'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "a second conversation in 'messages'"),
    ],
)
def test_what_would_be_trained_without_is_named(fields: dict[str, Any], said: str) -> None:
    values = row(**fields)
    assert said in read_row(values, ROOT).problem
    assert measure(values) is None


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        (
            [{"from": "human", "value": "x", "image": "a.png"}, {"from": "gpt", "value": "y"}],
            "turn 1 has 'image' of its own",
        ),
        (
            [{"role": "user", "content": "x", "videos": ["a"]}, {"role": "assistant"}],
            "turn 1 has 'videos' of its own",
        ),
        (
            [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "x"}],
            "turn 1 is a system turn, and the template (TRAIN.TEMPLATE) brings its own",
        ),
        (
            [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}],
            "turn 1 is a system turn",
        ),
        (
            [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": "x"}],
            "turn 1 is from the assistant and should be from the user",
        ),
        (
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}],
            "turn 1 must have a text in 'value' (or 'content'), got list",
        ),
    ],
)
def test_turns_that_are_not_trained_as_they_stand(turns: list[dict[str, Any]], said: str) -> None:
    values = {**row(), "conversations": turns}
    assert read_row(values, ROOT).problem.startswith(said)
    assert measure(values) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"video": None},
        {"videos": []},
        {"videos": [None, ""]},
        {"audio": ""},
        {"video_seconds": 3},
        {"clip": None},
        {"images": []},
        {"img": None},
        {"num_images": 0, "has_image": False, "image_id": ""},
        {"image": "a.png", "image_id": 139, "source": "b.png", "text": "<image>What?"},
        {"image": ["a.png"], "text": "<image>\nWhat?"},
        {"image": "a.png", "images": ["a.png"], "text": "What?<image>"},
    ],
)
def test_fields_without_content_are_no_media(fields: dict[str, Any]) -> None:
    assert read_row(row(**fields), ROOT).problem == ""


def test_messages_are_conversations() -> None:
    values = {
        "messages": [
            {"role": "user", "content": "<image>\nWhat is it?"},
            {"role": "assistant", "content": "A ball."},
        ],
        "images": ["a.png"],
    }
    content = read_row(values, ROOT)
    assert [turn.text for turn in content.turns] == ["What is it?", "A ball."]
    assert content.images == ("a.png",)


def test_nan_in_a_file_is_no_value(tmp_path: Path) -> None:
    """As data frames write what is missing: `image` of text rows, `video` of rows with an image."""
    (tmp_path / "a.png").touch()
    good = row(image="a.png", video=float("nan"), text="<image>x"), row(image=float("nan"))
    wrong = row(id="w", image=float("inf"), text="<image>x")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(values) + "\n" for values in (*good, wrong)))
    assert "NaN" in path.read_text() and "Infinity" in path.read_text()
    source = LlavaSource(SourceSpec(name="rows", path=str(path), format="llava"))
    assert [len(source[k].images) for k in range(len(source))] == [1, 0]
    assert [name for name, _ in source.bad.first] == ["rows:w"]
    assert "it has 1 '<image>' and no 'image'" in source.bad.first[0][1]
