"""Training rows about other media than images are left out by name, never trained blind."""

from __future__ import annotations

import base64
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
        ({"media": [{"type": "video", "url": "https://host/1"}]}, "it has 'media', another medium"),
        ({"meta": {"video": "clips/1"}}, "it has 'meta', another medium"),
        ({"content": "a.opus"}, "it has 'content', another medium"),
        ({"image": "a.mp4", "text": "<image>x"}, "'image' is 'a.mp4', another medium"),
        ({"images": ["a.png", "b.WAV"], "text": "<image><image>x"}, "'images' is 'b.WAV', another"),
        ({"meta": {"image": "photos/1"}}, "it has 'meta', which looks like an image"),
        ({"meta": {"type": "image_url", "url": "x/1"}}, "it has 'meta', which looks like an image"),
        ({"system": "Be brief."}, "it has 'system', and the template (TRAIN.TEMPLATE) brings its"),
        ({"text": "<video>\nWhat happens?"}, "turn 1 holds <video>"),
        ({"text": "<VideoHere>What happens?"}, "turn 1 holds <VideoHere>"),
        ({"text": "<vid> What happens?"}, "turn 1 holds <vid>"),
        ({"text": "<video/>What happens?"}, "turn 1 holds <video/>"),
        ({"text": "<sound>\nWhat is it?"}, "turn 1 holds <sound>"),
        ({"text": "<image_1> What?"}, "turn 1 marks its image as '<image_1>'"),
        (
            {"text": "<|vision_start|><|image_pad|>What?"},
            "turn 1 marks its image as '<|image_pad|>'",
        ),
        ({"text": "<ImageHere>What?"}, "turn 1 marks its image as '<ImageHere>'"),
        ({"text": "<Image>\nWhat?"}, "turn 1 marks its image as '<Image>'"),
        ({"text": "What?\n<IMAGE>"}, "turn 1 marks its image as '<IMAGE>'"),
        ({"text": "Listen: <Audio>"}, "turn 1 holds <Audio>"),
        ({"text": "<|video_pad|> What happens?"}, "turn 1 holds <|video_pad|>"),
        ({"text": "<video_1> What happens?"}, "turn 1 holds <video_1>"),
        ({"img": "a.png"}, "it has 'img', which looks like an image"),
        ({"image_id": 139}, "it has 'image_id', which looks like an image"),
        ({"source": "photos/a.JPG"}, "it has 'source', which looks like an image"),
        ({"text": "Picture 1: <img>a.png</img>\nWhat?"}, "turn 1 marks its image as '<img>a.png"),
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
            "turn 1 is in parts, list [{'type': 'image'}",
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
        {"meta": {"video": None, "image": 3, "video_id": "v1", "type": "video"}},
        {"text": "Write <img src='a.png'>, an <Image> component and <video src='a.mp4'>."},
        {"text": "The <img> tag shows a.png."},
        {"system": ""},
        {"num_images": 0, "has_image": False, "image_id": ""},
        {"image": "a.png", "image_id": 139, "source": "b.png", "text": "<image>What?"},
        {"image": ["a.png"], "text": "<image>\nWhat?"},
        {"image": "a.png", "images": ["a.png"], "text": "What?<image>"},
    ],
)
def test_fields_without_content_are_no_media(fields: dict[str, Any]) -> None:
    assert read_row(row(**fields), ROOT).problem == ""


@pytest.mark.parametrize(
    "image",
    ["data:image/png;base64,iVBORw0KGgo=", base64.b64encode(b"\x89PNG\r\n" + bytes(60)).decode()],
)
def test_an_image_within_the_row_is_no_path(image: str) -> None:
    values = row(image=image, text="<image>x")
    assert read_row(values, ROOT).problem.startswith("'image' is the image itself")
    assert measure(values) is None


@pytest.mark.parametrize("said", ["gpt", "Assistant", "MODEL", "bot"])
def test_who_speaks_is_told_as_in_questions(said: str) -> None:
    turns = [{"role": "User", "content": "x"}, {"role": said, "content": "y"}]
    content = read_row({"messages": turns}, ROOT)
    assert [turn.role for turn in content.turns] == ["user", "assistant"]


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
