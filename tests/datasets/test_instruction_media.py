"""Training rows about other media than images are left out by name, never trained blind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.instruction.rows import measure, read_row

ROOT = Path("/data")


def row(**fields: Any) -> dict[str, Any]:
    text = fields.pop("text", "What is it?")
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": "A ball."}]
    return {"id": "1", "conversations": turns, **fields}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"video": "a.mp4"}, "it has 'video'"),
        ({"videos": ["a.mp4"]}, "it has 'videos'"),
        ({"audio": "a.wav", "image": "a.png", "text": "<image>x"}, "it has 'audio'"),
        ({"video_path": "a.mp4"}, "it has 'video_path'"),
        ({"Audio": {"path": "a.wav"}}, "it has 'Audio'"),
        ({"text": "<video>\nWhat happens?"}, "holds <video>"),
        ({"text": "Listen: <Audio>"}, "holds <Audio>"),
    ],
)
def test_other_media_are_named(fields: dict[str, Any], said: str) -> None:
    values = row(**fields)
    assert said in read_row(values, ROOT).problem
    assert measure(values) is None


@pytest.mark.parametrize(
    "fields", [{"video": None}, {"videos": []}, {"audio": ""}, {"video_seconds": 3}, {"clip": None}]
)
def test_fields_without_content_are_no_media(fields: dict[str, Any]) -> None:
    assert read_row(row(**fields), ROOT).problem == ""
