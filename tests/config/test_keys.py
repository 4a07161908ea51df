"""Values are read by the type of the key's default, from YAML's types and from words alike."""

from __future__ import annotations

import pytest

from collavo.config.keys import Key, section_names
from collavo.errors import ConfigError

FLAG = Key("A.FLAG", False, "")
COUNT = Key("A.COUNT", 3, "", low=1)
RATE = Key("A.RATE", 1e-5, "", low=0)
NAME = Key("A.NAME", "", "")
FOLDER = Key("A.FOLDER", "results", "")
NAMES = Key("A.NAMES", "", "", joined=True)
KIND = Key("A.KIND", "full", "", choices=("full", "none"))
BITS = Key("A.BITS", 16, "", choices=(16, 8, 4))
SHAPE = Key("A.SHAPE", [1, 2], "")
WORDS = Key("A.WORDS", [], "")
NUCLEUS = Key("A.NUCLEUS", 0.9, "", low=0, high=1, none=1.0)


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        (FLAG, True, True),
        (FLAG, "False", False),
        (FLAG, "false", False),
        (FLAG, "0", False),
        (FLAG, 0, False),
        (FLAG, "no", False),
        (FLAG, "OFF", False),
        (FLAG, "True", True),
        (FLAG, "1", True),
        (FLAG, 1, True),
        (FLAG, "yes", True),
        (FLAG, " on ", True),
        (COUNT, 5, 5),
        (COUNT, "5", 5),
        (COUNT, 5.0, 5),
        (COUNT, "1e3", 1000),
        (RATE, "1e-5", 1e-5),
        (RATE, 1, 1.0),
        (RATE, "2", 2.0),
        (NAME, "pope_test", "pope_test"),
        (NAME, 123, "123"),
        (NAME, "1e5", "1e5"),
        (NAME, "'quoted'", "quoted"),
        (NAME, None, ""),
        (NAME, "None", ""),
        (NAME, "/a=b c", "/a=b c"),
        (FOLDER, "True", "True"),
        (NAMES, "a,b", "a,b"),
        (NAMES, ["a", "b"], "a,b"),
        (NAMES, "('a','b')", "a,b"),
        (NAMES, "[a, b]", "a,b"),
        (NAMES, "('a',)", "a"),
        (KIND, "NONE", "none"),
        (KIND, "None", "none"),
        (BITS, "4", 4),
        (BITS, 4.0, 4),
        (SHAPE, "[3, 4]", [3, 4]),
        (SHAPE, (3, "4"), [3, 4]),
        (SHAPE, "3,4", [3, 4]),
        (WORDS, "[a, 'b']", ["a", "b"]),
        (WORDS, "a", ["a"]),
        (WORDS, None, []),
        (NUCLEUS, None, 1.0),
        (NUCLEUS, "None", 1.0),
    ],
)
def test_value_takes_the_type_of_the_default(key: Key, given: object, expected: object) -> None:
    read = key.read(given)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("key", "given", "reason"),
    [
        (FLAG, "maybe", "neither true nor false"),
        (FLAG, 2, "neither true nor false"),
        (FLAG, "", "neither true nor false"),
        (FLAG, [True], "neither true nor false"),
        (FLAG, None, "None is not allowed"),
        (COUNT, "three", "not a whole number"),
        (COUNT, 2.5, "not a whole number"),
        (COUNT, True, "not a whole number"),
        (COUNT, "inf", "not a whole number"),
        (COUNT, 0, "out of range"),
        (COUNT, None, "None is not allowed"),
        (RATE, "fast", "not a number"),
        (RATE, False, "not a number"),
        (RATE, "nan", "not a number"),
        (RATE, -1, "out of range"),
        (NAME, True, "not text"),
        (NAME, ["a"], "not text"),
        (NAME, {"a": 1}, "not text"),
        (FOLDER, None, "None is not allowed"),
        (NAMES, [1], "not text"),
        (NAMES, "[a, [b]]", "not a list"),
        (KIND, "half", "none of the choices"),
        (BITS, 5, "none of the choices"),
        (SHAPE, "[1, x]", "not a whole number"),
        (SHAPE, 3, "not a list"),
        (WORDS, "[open('x')]", "not a list"),
        (NUCLEUS, 1.5, "out of range"),
    ],
)
def test_value_of_another_type_is_refused(key: Key, given: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        key.read(given)


def test_none_gives_a_list_of_its_own() -> None:
    WORDS.read(None).append("changed")
    assert WORDS.read(None) == []


def test_allowed_names_choices_and_ranges() -> None:
    assert BITS.allowed == "16, 8, 4"
    assert KIND.allowed == "'full', 'none'"
    assert COUNT.allowed == "a whole number, at least 1"
    assert NUCLEUS.allowed == "a number from 0 to 1"
    large = Key("A", 1, "", low=1, high=2**20)
    assert large.allowed == "a whole number from 1 to 1048576"
    assert Key("A", 1.0, "", low=1e-6, high=2.5).allowed == "a number from 1e-06 to 2.5"


def test_section_names_are_all_prefixes() -> None:
    assert section_names([Key("A.B.C", 1, ""), Key("D", 1, "")]) == {"A", "A.B"}


def test_lists_of_mappings_are_read_as_yaml_writes_them() -> None:
    key = Key("TRAIN.MODULES", [], "")
    assert key.read("[{module: crayon, lr: 0.1}]") == [{"module": "crayon", "lr": 0.1}]
    assert key.read("[a, b]") == ["a", "b"]
    with pytest.raises(ConfigError, match="not a list"):
        key.read("[{module: crayon]")
