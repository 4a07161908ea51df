"""The key of a judge's endpoint stands nowhere, in no form."""

from __future__ import annotations

import base64
import urllib.parse

import pytest

from collavo.datasets.evaluation.judge.secrets import KEY_VARIABLES, MASK, api_key, masked
from collavo.errors import ConfigError

KEY = "sk-Ab/c+9=0'xyz_QW12"


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        repr(KEY),
        urllib.parse.quote(KEY, safe=""),
        urllib.parse.quote_plus(KEY),
        *(base64.b64encode(b"x" * n + KEY.encode()).decode() for n in range(3)),
        base64.b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
    ],
)
def test_every_form_is_masked(form: str) -> None:
    shown = masked(f"refused: {form}.", KEY)
    assert MASK in shown and shown.startswith("refused: ") and shown.endswith(".")
    for part in (KEY, KEY[3:15], form[6:22]):
        assert part not in shown


def test_other_texts_stay() -> None:
    assert masked("the sky is blue", KEY) == "the sky is blue"
    assert masked("the sky is blue", "") == "the sky is blue"


@pytest.mark.parametrize("around", ["{}", "{}\n", " {}\r\n", "\t{} "])
def test_white_space_around_a_key_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert api_key() == ""
    monkeypatch.setenv(KEY_VARIABLES[-1], around.format(KEY))
    assert api_key() == KEY


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "sk-é", "sk-\x1b[2J"])
def test_a_key_that_is_none_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLES[0], key)
    with pytest.raises(ConfigError, match=KEY_VARIABLES[0]) as error:
        api_key()
    assert "sk-" not in str(error.value)
