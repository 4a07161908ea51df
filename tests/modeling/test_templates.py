"""The prompt templates, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.errors import ConfigError, DataError
from collavo.modeling.llms.templates import TEMPLATES, get_template, render

SYSTEM = (
    "AI assistant should give helpful and detailed answers to user after fully understanding an "
    "image. <image>"
)


def test_eval_prompts_are_the_originals(golden: Path) -> None:
    question = "Is there a dog in the image?\nAnswer the question using a single word or phrase."
    rows = json.loads((golden / "crayon_a" / "prompts.json").read_text(encoding="utf-8"))
    assert len(rows) > 1
    for row in rows:
        assert render(question, row["text"], "eval") == row["eval_prompt"]


def test_demo_template() -> None:
    objects = "The image includes (#1 dog) [0.00, 0.00, 1.00, 1.00]."
    expected = f"{SYSTEM} USER: {objects} What is it? ASSISTANT:"
    assert render("What is it?", objects, "demo") == expected


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_without_crayon_text_the_body_is_the_question(name: str) -> None:
    template = get_template(name)
    assert render("Why?", None, name) == f"{template.before}Why?{template.after}"
    assert template.before.count("<image>") == 1


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="CRAYON.TEMPLATE is 'chat'; it may be one of demo, eval"):
        render("Why?", None, "chat")
    with pytest.raises(DataError, match="<image>"):
        render("<image>\nWhy?", None)
