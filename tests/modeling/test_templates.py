"""The prompts that the chat templates write, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.errors import ConfigError, DataError
from collavo.modeling.llms.chat import IMAGES, USER, ChatTemplate, Span
from collavo.modeling.llms.chat_templates import (
    CHAT_TEMPLATES,
    get_chat_template,
    register_chat_template,
)
from collavo.records import Turn

SYSTEM = (
    "AI assistant should give helpful and detailed answers to user after fully understanding an "
    "image. <image>"
)


def test_eval_prompts_are_the_originals(golden: Path) -> None:
    question = "Is there a dog in the image?\nAnswer the question using a single word or phrase."
    rows = json.loads((golden / "crayon_a" / "prompts.json").read_text(encoding="utf-8"))
    assert len(rows) > 1
    for row in rows:
        assert get_chat_template("collavo").render(question, row["text"]) == row["eval_prompt"]


def test_demo_template() -> None:
    objects = "The image includes (#1 dog) [0.00, 0.00, 1.00, 1.00]."
    expected = f"{SYSTEM} USER: {objects} What is it? ASSISTANT:"
    assert get_chat_template("collavo_demo").render("What is it?", objects) == expected


@pytest.mark.parametrize("name", sorted(CHAT_TEMPLATES))
def test_a_prompt_is_what_training_shows_before_the_first_answer(name: str) -> None:
    template = get_chat_template(name)
    turns = [Turn("user", "Why?"), Turn("assistant", "So.")]
    whole = "".join(span.text for span in template.spans(turns, None, 2))
    prompt = template.render("Why?", None, 2)
    assert whole.startswith(prompt) and "So." not in prompt and whole.count("<image>") == 2
    assert template.has_image_slot


def test_later_turns_go_on_from_the_answers_before() -> None:
    template = get_chat_template("v1")
    turns = [Turn("user", "Why?"), Turn("assistant", "So."), Turn("user", "When?")]
    assert template.prompt(turns).endswith(
        "USER: <image>\nWhy? ASSISTANT: So.</s>USER: When? ASSISTANT:"
    )
    with pytest.raises(DataError, match="a prompt has 2 turns; its last has to be the user's"):
        template.prompt(turns[:2])


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="MODEL.TEMPLATE is 'colavo'.*Did you mean 'collavo'"):
        get_chat_template("colavo", "MODEL.TEMPLATE")
    for template in CHAT_TEMPLATES.values():
        with pytest.raises(DataError, match="<image>"):
            template.render("<image>\nWhy?")


def test_templates_of_ones_own_have_a_name_of_their_own(monkeypatch) -> None:
    monkeypatch.setattr("collavo.modeling.llms.chat_templates.CHAT_TEMPLATES", dict(CHAT_TEMPLATES))
    mine = ChatTemplate((Span(f"{IMAGES}Q: {USER} A:"),), (), (Span("{answer}", learnt=True),))
    register_chat_template("mine", mine)
    register_chat_template("mine", mine)  # the same again, as after a reload
    assert get_chat_template("mine").render("Why?") == "<image>Q: Why? A:"
    with pytest.raises(ValueError, match="chat template 'v1' is already registered"):
        register_chat_template("v1", mine)
