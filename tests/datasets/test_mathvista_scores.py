"""MathVista's rules, against the authors' on shapes of answers, and on Bard's published answers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.edit_distance import edit_distance, nearest
from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.mathvista import MathVistaEvaluator
from collavo.datasets.evaluation.mathvista_rules import (
    LmmsEvalMathVista,
    OfficialMathVista,
    Problem,
    QuickMathVista,
)
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import ConfigError
from collavo.records import Sample

CHOICE = Problem("multi_choice", "text", ("red", "blue", "green", "Red."), None)
INTEGER = Problem("free_form", "integer", (), None)
ONE = Problem("free_form", "float", (), 1)
TWO = Problem("free_form", "float", (), 2)
LIST = Problem("free_form", "list", (), None)


@pytest.mark.parametrize(
    ("problem", "extraction", "want"),
    [
        # A letter in parentheses anywhere, the first of several, in either case.
        (CHOICE, "(B)", "blue"), (CHOICE, "The answer is (c) green", "green"),
        (CHOICE, "(b) or (a)", "blue"), (CHOICE, " D ", "Red."),
        # Else the nearest text, the first of several: also of nothing, and of a letter beyond.
        (CHOICE, "", "red"), (CHOICE, "b", "red"), (CHOICE, "E", "red"), (CHOICE, "(E)", "red"),
        (CHOICE, "bleu", "blue"), (CHOICE, "BLUE", "red"), (CHOICE, "blue.", "blue"),
        (CHOICE, "The answer is green", "green"), (CHOICE, "B.", "red"), (CHOICE, 2, "red"),
        (INTEGER, "4", "4"), (INTEGER, " 4.9 ", "4"), (INTEGER, "-0.5", "0"),
        (INTEGER, "1e3", "1000"), (INTEGER, "four", None),
        (INTEGER, "1_000", "1000"), (INTEGER, "１２", "12"), (INTEGER, "1,000", None),
        (INTEGER, "nan", None), (INTEGER, "inf", None), (INTEGER, "", None),
        (INTEGER, 7.9, "7"), (INTEGER, None, None),
        (ONE, "1.25", "1.2"), (ONE, "1.35", "1.4"), (ONE, "2", "2.0"), (ONE, "nan", "nan"),
        (ONE, "1e400", "inf"), (ONE, "$1.2", None), (TWO, "2.675", "2.67"), (TWO, "1.5", "1.5"),
        (Problem("free_form", "float", (), None), "1.5", None),
        (LIST, "[1, 2]", "[1, 2]"), (LIST, " [1,2]", " [1,2]"), (LIST, "", ""),
        (Problem("free_form", "text", (), None), "x", None),
        (Problem("multi_choice", "text", (), None), "x", None),
    ],
)  # fmt: skip
def test_extractions_are_normalised(problem: Problem, extraction: Any, want: str | None) -> None:
    assert OfficialMathVista().normalise(extraction, problem) == want


@pytest.mark.parametrize(
    ("problem", "response", "want"),
    [
        (CHOICE, "green", "green"), (CHOICE, "Green", None), (CHOICE, "", ""), (CHOICE, " ", None),
        (INTEGER, " 12\n", "12"), (INTEGER, "1_2", "12"), (INTEGER, "1.5", None), (INTEGER, "", ""),
        (ONE, "1.25", "1.25"), (ONE, "2", "2.0"), (ONE, "nan", "nan"), (ONE, "about 2", None),
        (LIST, "[1]", None),
    ],
)  # fmt: skip
def test_what_needs_no_language_model(problem: Problem, response: str, want: str | None) -> None:
    assert OfficialMathVista().extract(response, problem) == want


def test_other_rules() -> None:
    said = 'Well. The answer is "12". So "it" is.'
    assert OfficialMathVista().extract(said, INTEGER) is None
    assert QuickMathVista().extract(said, INTEGER) == "12"
    assert QuickMathVista().extract("12", INTEGER) == "12"
    assert OfficialMathVista().extract(" green", CHOICE) is None
    assert LmmsEvalMathVista().extract(" green", CHOICE) == "green"
    assert LmmsEvalMathVista().normalise("1.25", ONE) is None
    assert LmmsEvalMathVista().equal("[1, 2] ", "[1, 2]")
    assert not OfficialMathVista().equal("[1, 2] ", "[1, 2]")


def _plain_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        new = [i]
        for j, b in enumerate(second, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (a != b)))
        row = new
    return row[-1]


def test_the_edit_distance_is_levenshteins() -> None:
    dice = random.Random(0)
    for _ in range(1500):
        first, second = (
            "".join(dice.choice("abcé🐶\n") for _ in range(dice.randrange(most)))
            for most in (9, 80)
        )
        assert edit_distance(first, second) == _plain_distance(first, second)
        assert edit_distance(second, first) == edit_distance(first, second)
    assert edit_distance("", "") == 0 and edit_distance("abc", "") == 3
    assert nearest("", ["b", "a"]) == "b"


def _sample(pid: str, answer: str = "", **extra: Any) -> Sample:
    facts = {"task": "t", "skills": ["a", "b"], "language": "english"} | extra.pop("metadata", {})
    return Sample(
        f"mathvista_testmini:{pid}", (), "How many?", pid,
        answers=(answer,) if answer else (),
        extra={"question_type": "free_form", "answer_type": "integer", "precision": None,
               "unit": None, "query": "q", "metadata": facts} | extra,
    )  # fmt: skip


def test_breakdowns_count_a_question_for_each_skill(tmp_path: Path) -> None:
    samples = [
        _sample("1", "1"),
        _sample("2", "2", metadata={"skills": ["b"], "task": "u"}),
        _sample("3"),
    ]
    answers = {s.sample_id: "1" for s in samples}
    found = MathVistaEvaluator().evaluate(samples, answers)
    assert found.headline == {"accuracy": 50.0}
    assert found.scores["skills"] == {
        "a": {"accuracy": 100.0, "correct": 1, "total": 1},
        "b": {"accuracy": 50.0, "correct": 1, "total": 2},
    }
    assert list(found.scores["task"]) == ["t", "u"]
    assert found.per_sample["mathvista_testmini:3"].correct is None
    assert "1 questions have no answer" in found.notes[-1]
    (file,) = MathVistaEvaluator().submission(
        samples, answers, tmp_path, {"name": "mathvista_test"}
    )
    written = json.loads(file.read_text())
    assert file.name == "mathvista_test_output.json" and list(written) == ["1", "2", "3"]
    assert written["1"]["response"] == "1" and written["1"]["answer"] == "1"
    assert written["1"]["metadata"]["task"] == "t"
    with pytest.raises(ConfigError, match="lmms_eval"):
        MathVistaEvaluator("nope").evaluate(samples, answers)


@pytest.fixture
def real(shared: Path) -> Iterator[Path]:
    use_root(shared / "data")
    yield shared / "data" / "mathvista" / "results"
    use_root("")


def test_bards_answers_score_as_published(real: Path) -> None:
    samples = samples_of("mathvista_testmini")
    found = match(samples, read_predictions(real / "output_bard.json"))
    assert found.complete and len(found.judged) == 1000
    evaluator = MathVistaEvaluator()
    evaluator.judged = found.judged
    scored = evaluator.evaluate(samples, found.answers)
    assert scored.headline["accuracy"] == pytest.approx(34.8, abs=1e-9)
    theirs = json.loads((real / "output_bard.json").read_text(encoding="utf-8"))
    for sample in samples:
        judged, row = scored.per_sample[sample.sample_id], theirs[sample.question_id]
        assert judged.correct == row["true_false"]
        # An older script of theirs made no integer of 3.4; it is wrong either way.
        assert judged.parsed == row["prediction"] or row["prediction"] is None
    published = json.loads((real / "scores_bard.json").read_text(encoding="utf-8"))
    # Of the other facts, skills among them, the questions' file has had newer releases since.
    for fact in ("question_type", "answer_type", "language", "task"):
        for name, figures in published[fact].items():
            ours = scored.scores[fact][name]
            assert (ours["correct"], ours["total"]) == (figures["correct"], figures["total"])
            assert ours["accuracy"] == pytest.approx(float(figures["accuracy"]), abs=0.0051)
