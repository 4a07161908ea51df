"""The named rules that read yes/no answers."""

from __future__ import annotations

import pytest

from collavo.datasets.evaluation.parsing import parser_names, parser_of
from collavo.errors import ConfigError

# answer, official, collavo, lmms_eval, vlmevalkit: worked out by hand from the toolkits' code
POPE = [
    ("Yes", "yes", "yes", "yes", "yes"),
    ("yes", "yes", "yes", "yes", "yes"),
    ("No", "no", "no", "no", "no"),
    ("no.", "no", "no", "other", "no"),
    ("NO", "yes", "no", "no", "no"),
    ("nO", "yes", "no", "no", "no"),
    ("", "yes", "yes", "other", "other"),
    (".No", "yes", "yes", "other", "no"),
    (" No ", "no", "no", "no", "no"),
    ("No\n", "yes", "yes", "no", "no"),
    ("\nNo", "yes", "yes", "no", "no"),
    ("No\tthere", "yes", "yes", "other", "no"),
    ("No, there is not.", "no", "no", "other", "no"),
    ("Yes, but not here", "no", "no", "other", "yes"),
    ("Not here", "yes", "no", "other", "other"),
    ("Yes. No.", "yes", "yes", "other", "other"),
    ("There is no dog", "no", "no", "other", "no"),
    ("There is none", "yes", "yes", "other", "other"),
    ("no-one", "yes", "yes", "other", "no"),
    ("a -b no-one", "yes", "yes", "other", "other"),
    ("yes,no", "yes", "yes", "other", "other"),
    ("1,2 yes", "yes", "yes", "other", "yes"),
    ("(yes)1,2", "yes", "yes", "other", "other"),
    ("3. no", "yes", "yes", "other", "no"),
    ("no.5", "no", "no", "other", "other"),
    ("No\u00a0dog", "yes", "yes", "other", "no"),
    ("No\x00", "yes", "yes", "other", "other"),
    ("No🐶", "yes", "yes", "other", "other"),
    ("\uff2e\uff4f", "yes", "yes", "other", "other"),
    ("No\u3002", "yes", "yes", "other", "other"),
    ("." * 40 + "no", "yes", "yes", "other", "other"),
    ("." * 32 + "no", "yes", "yes", "other", "no"),
]

# answer, official, lmms_eval, vlmevalkit
MME = [
    ("Yes", "yes", "yes", "yes"),
    ("no\n", "no", "no", "no"),
    ("NO", "no", "no", "no"),
    ("", "other", "other", "other"),
    ("Y", "other", "yes", "other"),
    ("n.", "other", "no", "other"),
    (" no", "no", "no", "no"),
    ("  no", "no", "no", "no"),
    ("   no", "other", "no", "no"),
    ("None", "no", "no", "other"),
    ("know", "no", "no", "other"),
    ("I see yes", "other", "other", "yes"),
    ("eyes", "yes", "yes", "other"),
    ("no/yes", "no", "no", "other"),
    ("n.o", "other", "no", "no"),
    ("\n\n\nyes", "other", "yes", "yes"),
    ("Church", "other", "other", "other"),
    ("\uff39\uff45\uff53", "other", "other", "other"),
    ("İno", "no", "no", "other"),
    ("İİno", "other", "other", "other"),
    ("\x00no", "no", "no", "other"),
]


@pytest.mark.parametrize(("answer", "official", "collavo", "lmms", "kit"), POPE)
def test_pope_answers(answer: str, official: str, collavo: str, lmms: str, kit: str) -> None:
    want = {"official": official, "collavo": collavo, "lmms_eval": lmms, "vlmevalkit": kit}
    assert {name: parser_of("pope", name).parse(answer) for name in want} == want


@pytest.mark.parametrize(("answer", "official", "lmms", "kit"), MME)
def test_mme_answers(answer: str, official: str, lmms: str, kit: str) -> None:
    want = {"official": official, "collavo": official, "lmms_eval": lmms, "vlmevalkit": kit}
    assert {name: parser_of("mme", name).parse(answer) for name in want} == want


def test_the_parsers_have_names_and_the_official_one_comes_first() -> None:
    assert parser_names("pope") == ["official", "collavo", "lmms_eval", "vlmevalkit"]
    assert parser_names("mme") == ["official", "lmms_eval", "vlmevalkit"]
    assert parser_names("other") == []


def test_an_unknown_parser_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'offical'\. Did you mean: official.*lmms_eval"):
        parser_of("pope", "offical")
    with pytest.raises(ConfigError, match="Unknown mme parser 'pope.official'"):
        parser_of("mme", "pope.official")
