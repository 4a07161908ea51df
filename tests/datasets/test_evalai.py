"""VQA's normalisers and soft accuracy, against values worked out from the authors' code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collavo.datasets.evaluation import evalai


@pytest.mark.parametrize(
    ("text", "m4c", "official", "vlmevalkit"),
    [
        ("", "", "", ""),
        ("  The Dog. ", "dog", "dog", "dog"),
        ("2.", "2", "2", "2."),
        (".5", ".5", ".5", ".5"),
        ("2.5", "2.5", "2.5", "2.5"),
        ("1,000", "1000", "1000", "1000"),
        ("red, blue", "red blue", "red blue", "red blue"),
        ("red,blue", "redblue", "red blue", "red blue"),
        ("women's", "women 's", "women's", "women's"),
        ("x-ray", "x ray", "x ray", "x ray"),
        ("x- ray-y", "x rayy", "x rayy", "x rayy"),
        ("1,000 x-ray", "1000 x ray", "1000 xray", "1000 xray"),
        ("what?", "what", "what", "what"),
        ("dont", "don't", "don't", "don't"),
        ("Im", "im", "im", "im"),
        ("somebody'd", "somebodyd", "somebodyd", "somebodyd"),
        ("let's", "let 's", "let's", "let's"),
        ("none One ten", "0 1 10", "0 1 10", "0 1 10"),
        ("a an the", "", "", ""),
        ("a\tb\nc", "b c", "b c", "b c"),
        ("50%", "50%", "50%", "50%"),
        ("5:30 p.m.", "5:30 pm", "5:30 pm", "5:30 pm"),
    ],
)
def test_normalisers(text: str, m4c: str, official: str, vlmevalkit: str) -> None:
    assert evalai.normalize(text) == m4c
    assert evalai.normalize_official(text) == official
    assert evalai.normalize_vlmevalkit(text) == vlmevalkit


def test_only_the_first_32_periods_go() -> None:
    assert evalai.normalize("x" + "." * 40) == "x" + "." * 8


def test_contractions_are_the_authors() -> None:
    assert len(evalai.CONTRACTIONS) == 120 - 4 - 2
    for given, wanted in (
        ("couldn'tve", "couldn't've"),
        ("ow's'at", "'ow's'at"),
        ("yall'd've", "y'all'd've"),
        ("y'alld've", "y'all'd've"),
        ("twas", "'twas"),
        ("oclock", "o'clock"),
    ):
        assert evalai.CONTRACTIONS[given] == wanted
    assert "lets" not in evalai.CONTRACTIONS
    assert "shes" not in evalai.CONTRACTIONS


@pytest.mark.parametrize(
    ("equal", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_soft_accuracy_leaves_one_out(equal: int, score: float) -> None:
    answers = ["cat"] * equal + [f"other {k}" for k in range(10 - equal)]
    assert evalai.soft_accuracy("The cat.", answers) == pytest.approx(score, abs=1e-12)


def test_soft_accuracy_of_nothing() -> None:
    assert evalai.soft_accuracy("x", []) == 0
    assert evalai.soft_accuracy("", [""] * 10) == 1


def test_official_accuracy_is_raw_where_all_references_agree() -> None:
    agree = ["yes"] * 10
    assert evalai.soft_accuracy_official("Yes", agree) == 0
    assert evalai.soft_accuracy_official(" yes\n", agree) == 1
    assert evalai.soft_accuracy_official("Yes", ["yes"] * 9 + ["no"]) == 1
    assert evalai.soft_accuracy_lmms_eval("Yes", agree) == 1
    assert evalai.soft_accuracy("Yes", agree) == 1


def test_vlmevalkit_keeps_a_period_behind_a_digit() -> None:
    answers = ["2"] * 9 + ["3"]
    assert evalai.soft_accuracy("2.", answers) == 1
    assert evalai.soft_accuracy_vlmevalkit("2.", answers) == 0


def test_eight_thousand_real_answers_of_vizwiz(shared: Path) -> None:
    folder = shared / "data" / "vizwiz"
    lines = (folder / "answers_llava-v1.5-13b.jsonl").read_text(encoding="utf-8").splitlines()
    wanted = json.loads((folder / "answers_upload_llava-v1.5-13b.json").read_text(encoding="utf-8"))
    got = [evalai.normalize(json.loads(line)["text"]) for line in lines]
    assert got == [row["answer"] for row in wanted]
    assert len(got) == 8000
