"""Conversations that are too long are named when the data are opened; counts are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.instruction import lengths
from collavo.datasets.instruction.lengths import Budget, fit
from collavo.datasets.instruction.mix import Mix
from collavo.datasets.instruction.opening import open_mix
from collavo.errors import DataError
from collavo.modeling.llms.chat import Encoded, cut, encode
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def tokenizer(repository: Path) -> CoLLaVOTokenizer:
    return CoLLaVOTokenizer(repository / "collavo" / "assets" / "tiny" / "collavo")


def row(name: str, question: str, answer: str, images: int = 1, pairs: int = 1) -> dict[str, Any]:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}] * pairs
    said[0] = {"from": "human", "value": "<image>" * images + question}
    return {"id": name, "images": ["a.jpg"] * images, "conversations": said}


ROWS = [
    row("short", "Is there a dog?", "Yes"),
    row("text", "Is there a dog?", "Yes", images=0),
    row("answer", "Tell me.", "a dog on the grass and " * 40),
    row("question", "a dog on the grass and " * 40, "Yes"),
    row("images", "Which of these is a dog?", "None", images=4),
    row("turns", "Is there a dog?", "Yes", pairs=12),
    row("bytes", "Is there a dog on the grass and a cat and a horse and a cow? " * 2, "Yes"),
]


@pytest.fixture
def mix(tmp_path: Path) -> Mix:
    (tmp_path / "d.json").write_text(json.dumps(ROWS))
    return open_mix([str(tmp_path / "d.json")])


def budget(tokenizer: CoLLaVOTokenizer, max_length: int, template: str = "collavo") -> Budget:
    return Budget(get_chat_template(template), tokenizer, 64, max_length)


@pytest.mark.parametrize("template", ["collavo", "v1", "plain"])
def test_no_conversation_has_more_tokens_than_its_bound(
    mix: Mix, tokenizer: CoLLaVOTokenizer, template: str
) -> None:
    source, limits = mix.sources[0], budget(tokenizer, 1, template)
    for number in range(len(source)):
        one = source[number]
        if template == "plain" and len(one.turns) > 2:
            continue
        made = encode(get_chat_template(template), one.turns, None, len(one.images), tokenizer)
        most = limits.bound(
            source.length(number), source.num_turns(number), source.num_images(number)
        )
        assert len(made.ids) + 63 * len(one.images) <= most


def test_too_long_conversations_are_named(
    mix: Mix, tokenizer: CoLLaVOTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DataError, match="2 of 7 conversations cannot be used") as caught:
        fit(mix, budget(tokenizer, 220))
    said = str(caught.value)
    assert "d:images: it has " in said and "an image would be cut off; raise it" in said
    assert "d:question: it has " in said and "no answer would be left" in said
    assert "TRAIN.MAX_BAD_ROWS is 0; raise TRAIN.MAX_LENGTH" in said
    fitted = fit(mix, budget(tokenizer, 220), max_bad_rows=2)
    source = fitted.sources[0]
    assert [source[i].sample_id[2:] for i in range(len(source))] == [
        *("short", "text", "answer", "turns", "bytes"),
    ]
    assert fitted.bad.count == 2
    assert "2 conversations are left out" in caplog.text
    assert "2 conversations have more than TRAIN.MAX_LENGTH 220 tokens; their ends" in caplog.text
    assert "d:answer: " in caplog.text and "d:turns: " in caplog.text


def test_all_fit_where_there_is_room(
    mix: Mix, tokenizer: CoLLaVOTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> Encoded:
        raise AssertionError("read although it fits for certain")

    limits = budget(tokenizer, 4000)
    assert limits.bound(1, 2, 1) > 64
    monkeypatch.setattr(lengths, "encode", never)
    assert len(fit(mix, limits)) == 7


def test_room_for_the_crayon_text_is_kept_free(mix: Mix, tokenizer: CoLLaVOTokenizer) -> None:
    given = budget(tokenizer, 220)
    limits = Budget(given.template, tokenizer, 64, 220, reserve=150)
    with pytest.raises(DataError, match="[3-7] of 7 conversations cannot be used"):
        fit(mix, limits)


def test_counts_are_kept_for_the_same_data_and_settings(
    mix: Mix, tokenizer: CoLLaVOTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    counted = lengths._count
    monkeypatch.setattr(lengths, "_count", lambda *a: calls.append(a) or counted(*a))
    for _ in range(2):
        fit(mix, budget(tokenizer, 220), 2)
    assert len(calls) == 1
    fit(mix, budget(tokenizer, 230), 2)
    fit(mix, budget(tokenizer, 220, "v1"), 7)
    assert len(calls) == 3


def test_cutting(tokenizer: CoLLaVOTokenizer) -> None:
    whole = Encoded([1, 9, 5, 6, 7, 8], [-100, -100, -100, 6, 7, 8])
    assert cut(whole, 9, 9, [4]) == whole
    assert cut(whole, 8, 9, [4]) == Encoded([1, 9, 5, 6, 7], [-100, -100, -100, 6, 7])
    assert cut(whole, 7, 9, [4]).labels == [-100, -100, -100, 6]
    with pytest.raises(
        DataError, match="9 tokens, 4 of them of its images, and at most 6 .* no an"
    ):
        cut(whole, 6, 9, [4])
    with pytest.raises(DataError, match="at most 4 are allowed.*an image would be cut off"):
        cut(whole, 4, 9, [4])
