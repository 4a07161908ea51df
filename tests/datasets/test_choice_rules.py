"""The rules that read options, each against a table of what its toolkit makes of an answer."""

from __future__ import annotations

import pytest

from collavo.datasets.evaluation import choice_rules as rules

ANIMALS = {"A": "cat", "B": "dog", "C": "Red dog", "D": "a hot day"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("B.", "B"), ("(B)", "B"), ("*B*", "B"), ("[C]{}", "C"), ("#D!", "D"),
        ("b", ""), ("", ""), ("E", ""), ("Z", "Z"), ("?B", ""), ("B?", ""), ('"B"', ""),
        ("A or B", ""), ("The answer is B", "B"), ("B is the answer", "B"),
        # the letter must be among the last four words ...
        ("B one two three", "B"), ("B one two three four", ""),
        # ... unless a sentence says it, in any case
        ("the Answer is b, since x y z w v", "B"), ("Correct answer is **C** one two three", "C"),
        ("The answer is E", ""),
        # "A" is no article here
        ("A big thing there", "A"), ("A cat sat there", "A"),
        # the only option that the answer holds, in any case
        ("It is a CAT", "A"), ("It is a Red Dog", ""), ("dog", "B"), ("a hot day", "D"),
        # twice the length of all options (3 + 3 + 7 + 9) is too long
        ("x" * 41 + "cat", "A"), ("x" * 42 + "cat", ""),
        ("Cannot determine the answer, B", "Z"), ("I can't process this file.", "Z"),
        ("Failed to obtain answer via API B", ""), ("Failed to obtain answer via API cat", "A"),
        ("Sorry, I can't help with images of people yet. B", "Z"),
        ("B\nB", "B"), ("\tB\u3000", "B"), ("Ｂ", ""), ("B\0", ""), ("🐶 B", "B"), ("A\nB", ""),
        ("B Z", "B"), ("Z cat", "Z"),
    ],
)  # fmt: skip
def test_vlmevalkits_matcher(text: str, letter: str) -> None:
    assert rules.can_infer(text, ANIMALS) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("B.", "B"), ("B).", "B"), ("(B)", "B"), (":B:", ""), (":B,", "B"),
        ("E", "E"),  # a letter beyond the options counts
        ("A cat sat there", "A"),  # the letter is given up, the text is found
        ("A big thing there", ""), ("A it is", "A"), ("B one two three four five six", "B"),
        ("x" * 500 + "cat", "A"), ("*B*", ""), ("A or B.", "A"), ("A and B", ""),
        ("Z", ""), ("", ""), ("Failed to obtain answer via API B", ""),
    ],
)  # fmt: skip
def test_the_older_matcher_of_lmms_eval(text: str, letter: str) -> None:
    assert rules.lmms_mmbench(text, ANIMALS) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("B. dog", "B"), ("B.", ""), ("B.dog", ""), ("b", ""), (" B", ""), ("E", ""),
        ("The answer is C.", "C"), ("The answer is C", ""), ("The answer is C\n", ""),
        ("The answer is Cats.", "C"), ("The answer is A. The answer is B.", ""), ("", ""),
        ("E. x", ""), ("The answer is E.", ""), ("the answer is A.", ""),
    ],
)  # fmt: skip
def test_llavas_rule(text: str, letter: str) -> None:
    assert rules.llava_letter(text, ANIMALS) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" b ", "B"), ("B. dog", "B"), ("\n B. x", "B"), ("(B)", "B"), ("B)", "B"),
        ("b. dog", ""), ("B dog", ""), ("", ""), ("E.", ""), ("B\0", "B"), ("\u212a", ""),
        ("..B..", "B"), ("B )", ""),
    ],
)  # fmt: skip
def test_the_exact_match_of_lmms_eval(text: str, letter: str) -> None:
    assert rules.lmms_exact(text, ANIMALS) == letter


def test_the_other_rules() -> None:
    assert rules.first_capital("the Answer is B", ANIMALS) == "A"
    assert rules.first_capital("no capital, 12 Ä", ANIMALS) == ""
    assert rules.first_character("banana", ANIMALS) == "B"
    assert rules.first_character("", ANIMALS) == ""
    assert rules.first_character("ßa", ANIMALS) == ""
    assert rules.whole_letter_any_case("\tc\n", ANIMALS) == "C"
    assert rules.whole_letter_any_case("c.", ANIMALS) == ""
    assert rules.lmms_science(" b ", ANIMALS) == "B"
    assert rules.lmms_science("B.x", ANIMALS) == "B"
    assert rules.lmms_science("b.x", ANIMALS) == ""
    assert [rules.position_in(t, "ABCD") for t in ("", "BC", "B.", "D")] == [0, 1, -1, 3]


@pytest.mark.parametrize(
    ("text", "letter", "lmms"),
    [
        ("B", "B", "B"), ("(B) dog", "B", "B"), ("(A) or (B)", "B", "B"), ("'B'.", "B", "B"),
        ("B. dog", "", "B"), ("it is XB there", "", "B"), ("A B A", "A", "A"), ("B\nC", "", "C"),
        # the two ends are only as good as they can be after padding
        ("A", "A", "A"), ("\nA", "", "A"), ("cat", "", ""), ("", "", ""),
        ("I would say it is a cat", "A", "A"), ("it is one cat or one dog here", "B", "B"),
        ("one Red dog is all I can see", "B", "B"),
    ],
)  # fmt: skip
def test_mmmus_rule(text: str, letter: str, lmms: str) -> None:
    assert rules.mmmu_choice(text, ANIMALS, "ABCD") == letter
    assert rules.mmmu_choice(text, ANIMALS, "ABCD", lmms=True) == lmms


def test_a_letter_or_the_whole_text() -> None:
    cases = {"B": "B", "(B) x": "B", "B, x": "B", "Dog.": "B", "dogs": "", "E": "", "": "", "b": ""}
    assert {text: rules.letter_or_text(text, ANIMALS) for text in cases} == cases
