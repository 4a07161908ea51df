"""Chat templates of training: the text, the ids of the prompt, and the labels token by token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collavo.errors import ConfigError, DataError
from collavo.modeling.llms.chat import (
    IGNORE_INDEX,
    ChatTemplate,
    Span,
    encode,
)
from collavo.modeling.llms.chat_templates import CHAT_TEMPLATES, get_chat_template
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer
from collavo.records import Turn

COLLAVO = get_chat_template("collavo")

OBJECTS = "The image includes (#1 dog) [0.00, 0.00, 1.00, 1.00]."
TWO = [
    Turn("user", "Is there a dog?"),
    Turn("assistant", "Yes"),
    Turn("user", "Where?"),
    Turn("assistant", "On grass"),
]


class Words:
    """One id for each special token, word, white space and sign, in the order of appearance."""

    image_token_id = 0

    def __init__(self) -> None:
        self.words = ["<image>", "<s>"]

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        found = re.findall(r"<[^<> ]+>|\w+|\s|[^\w\s]", text)
        self.words += [word for word in dict.fromkeys(found) if word not in self.words]
        return [1] * add_bos + [self.words.index(word) for word in found]

    def text(self, ids: list[int]) -> list[str]:
        return [self.words[i] for i in ids]


class Merging(Words):
    """Has one token for a line end and the word after it, which no prompt ends with."""

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        found = re.findall(r"<[^<> ]+>|\n\w+|\w+|\s|[^\w\s]", text)
        self.words += [word for word in dict.fromkeys(found) if word not in self.words]
        return [1] * add_bos + [self.words.index(word) for word in found]


@pytest.fixture(scope="module")
def tiny(repository: Path) -> CoLLaVOTokenizer:
    return CoLLaVOTokenizer(repository / "collavo" / "assets" / "tiny" / "collavo")


@pytest.fixture(scope="module")
def original(golden: Path) -> CoLLaVOTokenizer:
    return CoLLaVOTokenizer(golden / "tokenizer_a")


MARKED = {
    "collavo": (
        "<s>AI assistant should give helpful and detailed answers to user after fully "
        "understanding an image. <image> [UNUSED_TOKEN_146]user\n"
        f"{OBJECTS} Is there a dog?[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n"
        "«Yes[UNUSED_TOKEN_145]»\n[UNUSED_TOKEN_146]user\nWhere?[UNUSED_TOKEN_145]\n"
        "[UNUSED_TOKEN_146]assistant\n«On grass[UNUSED_TOKEN_145]»"
    ),
    "collavo_demo": (
        "<s>AI assistant should give helpful and detailed answers to user after fully "
        f"understanding an image. <image> USER: {OBJECTS} Is there a dog? ASSISTANT:"
        "« Yes[UNUSED_TOKEN_145]» USER: Where? ASSISTANT:« On grass[UNUSED_TOKEN_145]»"
    ),
    "plain": "<s><image>«Yes\n»",
    "v1": (
        "<s>A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions. "
        f"USER: <image>\n{OBJECTS} Is there a dog? ASSISTANT:« Yes</s>»USER: Where? "
        "ASSISTANT:« On grass</s>»"
    ),
    "qwen": (
        "«<|im_start|>»system\nYou are a helpful assistant.«<|im_end|>\n<|im_start|>»user\n"
        f"Picture 1:<img><image></img>\n{OBJECTS} Is there a dog?«<|im_end|>\n<|im_start|>»"
        "assistant\n«Yes<|im_end|>\n<|im_start|>»user\nWhere?«<|im_end|>\n<|im_start|>»assistant\n"
        "«On grass<|im_end|>\n»"
    ),
}
"""Each template's text with «» around what is learnt, written out from the authors' code."""


@pytest.mark.parametrize("name", sorted(CHAT_TEMPLATES))
def test_labels_token_by_token(name: str) -> None:
    words = Words()
    plain = name == "plain"
    made = encode(
        get_chat_template(name), TWO[:2] if plain else TWO, None if plain else OBJECTS, 1, words
    )
    expected: list[tuple[str, bool]] = []
    learnt = False
    for part in re.split("([«»])", MARKED[name]):
        if part in "«»" and part:
            learnt = part == "«"
        else:
            expected += [(word, learnt) for word in words.text(words.encode(part, add_bos=False))]
    assert list(zip(words.text(made.ids), [x != -100 for x in made.labels], strict=True)) == (
        expected
    )
    assert all(x in (i, IGNORE_INDEX) for i, x in zip(made.ids, made.labels, strict=True))
    assert made.num_labels == sum(learnt for _, learnt in expected)


@pytest.mark.parametrize("crayon_text", [OBJECTS, None])
@pytest.mark.parametrize("which", ["tiny", "original"])
def test_prompt_has_the_ids_of_evaluation(
    which: str, crayon_text: str | None, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(which)
    made = encode(get_chat_template("collavo"), TWO, crayon_text, 1, tokenizer)
    prompt = tokenizer.encode(COLLAVO.render("Is there a dog?", crayon_text))
    assert made.ids[: len(prompt)] == prompt
    assert set(made.labels[: len(prompt)]) == {IGNORE_INDEX}
    assert made.labels[len(prompt)] == made.ids[len(prompt)]


@pytest.mark.parametrize("which", ["tiny", "original"])
@pytest.mark.parametrize("name", ["collavo", "v1"])
def test_labels_say_the_answers_and_their_end(
    which: str, name: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(which)
    made = encode(get_chat_template(name), TWO, OBJECTS, 1, tokenizer)
    stretches, last = [], -2
    for place, label in enumerate(made.labels):
        if label != IGNORE_INDEX:
            if place != last + 1:
                stretches.append([])
            stretches[-1].append(label)
            last = place
    end = "</s>" if name == "v1" else "[UNUSED_TOKEN_145]"
    assert [tokenizer.decode(s, skip_special_tokens=False).strip() for s in stretches] == [
        f"Yes{end}",
        f"On grass{end}",
    ]


def test_text_only_has_the_ids_of_evaluation(tiny: CoLLaVOTokenizer) -> None:
    made = encode(get_chat_template("collavo"), TWO[:2], None, 0, tiny)
    prompt = [i for i in tiny.encode(COLLAVO.render("Is there a dog?")) if i != tiny.image_token_id]
    assert made.ids[: len(prompt)] == prompt
    assert len(made.ids) == len(made.labels)
    assert tiny.image_token_id not in made.ids


@pytest.mark.parametrize("name", sorted(CHAT_TEMPLATES))
@pytest.mark.parametrize("count", [0, 1, 3])
def test_each_image_is_one_id(name: str, count: int) -> None:
    words = Words()
    made = encode(get_chat_template(name), TWO[:2], None, count, words)
    assert made.ids.count(0) == count
    texts = words.text(made.ids)
    assert texts.index("Yes") > max((i for i, x in enumerate(made.ids) if x == 0), default=0)


def test_images_are_numbered_in_qwen() -> None:
    text = "".join(s.text for s in get_chat_template("qwen").spans(TWO[:2], None, 2))
    assert "Picture 1:<img><image></img>\nPicture 2:<img><image></img>\nIs there" in text


def test_a_token_over_the_border_leaves_the_prompt_as_it_is() -> None:
    words = Merging()
    made = encode(get_chat_template("collavo"), TWO, None, 1, words)
    prompt = words.encode(COLLAVO.render("Is there a dog?"))
    assert words.text(prompt)[-1] == "\n"
    assert made.ids[: len(prompt)] == prompt
    learnt = [i for i in made.labels if i != IGNORE_INDEX]
    assert words.text(learnt) == [
        *("Yes", "[", "UNUSED_TOKEN_145", "]", "On", " ", "grass", "[", "UNUSED_TOKEN_145", "]"),
    ]


def test_a_longer_text_may_begin_otherwise() -> None:
    class Fickle(Words):
        def encode(self, text: str, add_bos: bool = True) -> list[int]:
            return super().encode(text.upper() if text.endswith("b") else text, add_bos)

    words = Fickle()
    shape = ChatTemplate((Span("{user}"),), (), (Span("{answer}", True), Span("-b")))
    made = encode(shape, [Turn("user", "q"), Turn("assistant", "a")], None, 0, words)
    assert words.text(made.ids) == ["<s>", "q", "a", "-", "B"]
    assert made.labels == [-100, -100, made.ids[2], -100, -100]


def test_braces_in_a_text_stay() -> None:
    turns = [Turn("user", "{images} {answer}"), Turn("assistant", "{user} {0}")]
    text = "".join(s.text for s in get_chat_template("collavo").spans(turns))
    assert "user\n{images} {answer}[" in text and "assistant\n{user} {0}[" in text


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "0 turns"),
        (TWO[:1], "has 1 turns; it needs a user's turn and an answer"),
        ([TWO[1], TWO[0]], "turn 1 is from 'assistant' and should be from 'user'"),
        (
            [Turn("user", "a"), Turn("user", "b")],
            "turn 2 is from 'user' and should be from 'assistant'",
        ),
        ([Turn("user", "a"), Turn("assistant", "<image> b")], "turn 2, '<image> b', holds"),
    ],
)
def test_wrong_turns_are_refused(turns: list[Turn], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        encode(get_chat_template("collavo"), turns, None, 1, Words())


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="TRAIN.TEMPLATE is 'v2'; it may be one of collavo, coll"):
        get_chat_template("v2")
    with pytest.raises(ConfigError, match="no place for the text of the Crayon Prompt"):
        encode(get_chat_template("plain"), TWO[:2], OBJECTS, 1, Words())
    with pytest.raises(DataError, match="the crayon text 'an <image>' holds '<image>'"):
        encode(get_chat_template("v1"), TWO, "an <image>", 1, Words())

    class NoImage(Words):
        image_token_id = 7777

    with pytest.raises(DataError, match="1 images came to 0 image ids"):
        encode(get_chat_template("v1"), TWO, None, 1, NoImage())
