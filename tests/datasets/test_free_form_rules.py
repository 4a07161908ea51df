"""The rules of free-form answers: exact match, relaxed accuracy, OCRBench."""

from __future__ import annotations

import pytest

from collavo.datasets.evaluation.free_form import AnswerRule
from collavo.datasets.evaluation.parsing import parser_names, parser_of
from collavo.errors import ConfigError, DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS


def _right(family: str, rule: str, text: str, *references: str, **extra: object) -> bool:
    sample = Sample("s", (), "?", 1, answers=references, category=str(extra.pop("category", "")),
                    extra=extra)  # fmt: skip
    found = parser_of(family, rule)
    assert isinstance(found, AnswerRule)
    return found.score(text, sample) == 1


@pytest.mark.parametrize(
    ("text", "official", "llava", "trol", "lmms_eval", "vlmevalkit"),
    [
        ("no", True, True, True, True, True),
        ("No", False, True, True, True, True),
        ("No.", False, True, False, True, False),
        ("No..", False, True, False, True, False),
        (" no", False, False, False, True, True),
        ("no\n", False, False, False, True, True),
        ("n.o", False, False, False, True, False),
        ("no\0", False, False, False, True, False),
        ("", False, False, False, False, False),
    ],
)
def test_exact_match_of_gqa(
    text: str, official: bool, llava: bool, trol: bool, lmms_eval: bool, vlmevalkit: bool
) -> None:
    rules = ("official", "llava", "trol", "lmms_eval", "vlmevalkit")
    wanted = [official, llava, trol, lmms_eval, vlmevalkit]
    assert [_right("gqa", rule, text, "no") for rule in rules] == wanted


@pytest.mark.parametrize(
    ("text", "target", "official", "qwen", "trol", "vlmevalkit"),
    [
        ("14", "14", True, True, True, True),
        ("14.7", "14", True, True, True, True),
        ("14.71", "14", False, True, True, False),
        ("13.3", "14", True, False, False, True),
        (" 14 ", "14", True, True, False, True),
        ("5%", "0.05", True, True, False, True),
        ("5%", "5", False, False, True, False),
        ("0", "0", True, True, True, True),
        ("0.0", "0", False, False, False, False),
        ("Yes", "yes", True, True, True, True),
        (" yes", "yes", False, True, True, True),
        ("nan", "nan", False, False, False, False),
        ("inf", "inf", False, False, False, False),
        ("1_000", "1000", True, True, True, True),
        ("1,000", "1000", False, False, False, False),
        ("14 items", "14", False, False, True, False),
        ("-14", "14", False, False, False, False),
        ("", "14", False, False, False, False),
        ("50%%", "50%", True, True, True, True),
    ],
)
def test_relaxed_accuracy(
    text: str, target: str, official: bool, qwen: bool, trol: bool, vlmevalkit: bool
) -> None:
    rules = ("official", "qwen", "trol", "vlmevalkit")
    wanted = [official, qwen, trol, vlmevalkit]
    assert [_right("chartqa", rule, text, target) for rule in rules] == wanted


def test_one_of_several_references_will_do() -> None:
    assert _right("chartqa", "official", "b", "a", "B")
    assert _right("exact_match", "official", "b", "a", "b")


@pytest.mark.parametrize(
    ("text", "right"),
    [("It says CENTRE.", True), ("centre", True), ("cen\ntre", False), ("", False)],
)
def test_ocrbench_looks_for_the_reference(text: str, right: bool) -> None:
    assert _right("ocrbench", "official", text, "Centre", dataset_name="svt") == right


def test_ocrbench_compares_formulas_without_spaces_and_in_their_case() -> None:
    facts = {"dataset_name": "HME100k"}
    assert _right("ocrbench", "official", "= \\frac {a}\n{b}", "\\frac { a } { b }", **facts)
    assert not _right("ocrbench", "official", "X + Y", "x+y", **facts)
    assert _right("ocrbench", "official", "X+Y", "x+y", dataset_name="svt")


def test_ocrbench_of_other_toolkits() -> None:
    assert _right("ocrbench", "lmms_eval", "ＡＢ", "ab", dataset_name="svt")
    assert not _right("ocrbench", "official", "ＡＢ", "ab", dataset_name="svt")
    formula = "Handwritten Mathematical Expression Recognition"
    assert not _right("ocrbench", "vlmevalkit", "X", "x", category=formula, dataset_name="other")


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("vqa_accuracy", {"official", "vqa", "vlmevalkit"}),
        ("vqav2", {"official", "m4c", "lmms_eval", "vlmevalkit"}),
        ("gqa", {"official", "llava", "trol", "lmms_eval", "vlmevalkit"}),
        ("chartqa", {"official", "qwen", "trol", "vlmevalkit"}),
        ("ocrbench", {"official", "lmms_eval", "vlmevalkit"}),
        ("box_iou", {"official", "qwen", "padded", "pixels", "thousand", "vlmevalkit"}),
    ],
)
def test_every_rule_is_listed(family: str, names: set[str]) -> None:
    assert set(parser_names(family)) == names


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean|Available"):
        parser_of("chartqa", "offical")


@pytest.mark.parametrize(
    "name", ["vqa", "vqav2", "okvqa", "vizwiz", "gqa", "exact", "chartqa", "ocrbench", "box_iou"]
)
def test_evaluators_refuse_answers_that_do_not_fit(name: str) -> None:
    sample = Sample("a", (), "?", 1, answers=("x",), extra={"box": (0, 0, 1, 1)})
    evaluator = EVALUATORS.get(name)()
    with pytest.raises(DataError, match="without an answer: a"):
        evaluator.evaluate([sample], {})
    with pytest.raises(DataError, match="unknown: b"):
        evaluator.evaluate([sample], {"a": "x", "b": "x"})


@pytest.mark.parametrize("name", ["vqa", "vqav2", "vizwiz", "gqa", "exact", "chartqa", "ocrbench"])
def test_hidden_answers_are_neither_right_nor_wrong(name: str) -> None:
    found = EVALUATORS.get(name)().evaluate([Sample("a", (), "?", 1)], {"a": "x"})
    assert found.per_sample["a"].correct is None
    assert not found.headline
    assert "server" in found.notes[0]
