"""The evaluators of free-form answers: figures, breakdowns, submissions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.gqa import GqaEvaluator
from collavo.datasets.evaluation.ocrbench import FORMULAS, OcrBenchEvaluator
from collavo.datasets.evaluation.relaxed import RelaxedAccuracyEvaluator
from collavo.datasets.evaluation.vqa_accuracy import (
    VizWizEvaluator,
    VqaAccuracyEvaluator,
    Vqav2Evaluator,
)
from collavo.records import Sample

REAL = {
    "accuracy": 33.97849462365591,
    "binary": 31.147540983606557,
    "open": 44.44444444444444,
    "validity": 70.75268817204301,
    "plausibility": 70.75268817204301,
    "consistency": 34.52380952380951,
    "distribution": 0.864773662384164,
}
"""What eval.py of GQA's eval.zip prints for every third choice (SHI-Labs/VCoder@4e85ace)."""


def _sample(key: str, *answers: str, category: str = "", **extra: Any) -> Sample:
    return Sample(f"d:{key}", (), f"what is {key}?", key, answers=answers, category=category,
                  extra=extra)  # fmt: skip


def test_vqa_accuracy_and_its_rules_side_by_side() -> None:
    samples = [_sample("a", *["2"] * 9, "3"), _sample("b", *["yes"] * 10)]
    found = VqaAccuracyEvaluator().evaluate(samples, {"d:a": "2.", "d:b": "Yes"})
    assert found.headline == {"accuracy": 100}
    parsers = {name: figures["accuracy"] for name, figures in found.scores["parsers"].items()}
    assert parsers == {"official": 100, "vqa": 50, "vlmevalkit": 50}
    assert found.per_sample["d:a"].parsed == "2"
    assert found.per_sample["d:a"].correct == 1
    assert found.units["accuracy"] == "percent"


def test_vqav2_by_question_and_answer_type() -> None:
    types = {"question_type": "is the", "answer_type": "yes/no"}
    samples = [
        _sample("a", *["yes"] * 10, **types),
        _sample("b", *["yes"] * 1, *["no"] * 9, **types),
        _sample("c", *["x"] * 9, "y", question_type="what", answer_type="other"),
    ]
    found = Vqav2Evaluator().evaluate(samples, {"d:a": "yes", "d:b": "yes", "d:c": "X."})
    assert found.headline["accuracy"] == pytest.approx(100 * (1 + 0.3 + 1) / 3)
    official = found.scores["official"]
    assert official["perQuestionType"] == {"is the": 65.0, "what": 100.0}
    assert official["perAnswerType"] == {"yes/no": 65.0, "other": 100.0}
    assert official["overall"] == 76.67
    assert found.per_sample["d:b"].correct == pytest.approx(0.3)


def test_submissions_are_in_the_servers_format(tmp_path: Path) -> None:
    sample = _sample("a", image="VizWiz_test_1.jpg")
    numbered = Sample("d:7", (), "?", 7)
    for evaluator, given, wanted in (
        (VizWizEvaluator(), sample, '[{"image": "VizWiz_test_1.jpg", "answer": "dog"}]'),
        (Vqav2Evaluator(), numbered, '[{"question_id": 7, "answer": "dog"}]'),
        (GqaEvaluator(), sample, '[{"questionId": "a", "prediction": "the dog"}]'),
    ):
        (file,) = evaluator.submission([given], {given.sample_id: "The Dog."}, tmp_path)
        assert file.read_text(encoding="utf-8") == wanted


def test_chartqa_by_split() -> None:
    samples = [
        _sample("a", "1", category="human"),
        _sample("b", "1", category="augmented"),
        _sample("c", "1", category="augmented"),
    ]
    found = RelaxedAccuracyEvaluator().evaluate(samples, {"d:a": "1", "d:b": "1", "d:c": "2"})
    assert found.headline["human"] == 100
    assert found.headline["augmented"] == 50
    assert found.headline["mean"] == 75
    assert found.headline["accuracy"] == pytest.approx(200 / 3)


def test_ocrbench_counts_right_answers() -> None:
    samples = [
        _sample("a", "X", category="Digit String Recognition", dataset_name="ORAND"),
        _sample("b", "y", category=FORMULAS, dataset_name="HME100k"),
        _sample("c", "y", category=FORMULAS, dataset_name="HME100k"),
    ]
    found = OcrBenchEvaluator().evaluate(samples, {"d:a": "x", "d:b": "y", "d:c": "Y"})
    assert found.headline == {"final_score": 2, "accuracy": pytest.approx(200 / 3)}
    assert found.scores["text_recognition"] == 1
    assert found.scores["points"][FORMULAS] == 1
    assert found.scores["per_dataset"]["HME100k"] == {"accuracy": 50, "questions": 2}
    assert found.units["final_score"] == "points of 1000"


def _question(key: str, answer: str, **extra: Any) -> Sample:
    types = {"structural": "query", "semantic": "attr", "detailed": "x"}
    facts: dict[str, Any] = {"types": types, "groups": {}, "entailed": (), "steps": 1}
    return _sample(key, answer, **facts | extra)


def test_gqa_figures() -> None:
    verify = {"structural": "verify", "semantic": "obj", "detailed": "x"}
    common = {"structural": "query", "semantic": "attr", "detailed": "twoCommon"}
    choices = {"valid": ("red", "blue"), "plausible": ("red",)}
    samples = [
        _question(
            "1", "red", groups={"global": "color"}, choices=choices, entailed=("1", "2", "3")
        ),
        _question("2", "yes", types=verify, steps=3, choices={"valid": ("yes",)}),
        _question("3", "blue", groups={"global": "color"}, choices=choices),
        _question("4", "color", types=common, choices=choices),
        _question("5", "no", balanced=False, choices=choices),
    ]
    answers = {"d:1": "red", "d:2": "yes", "d:3": "red", "d:4": "material", "d:5": "no"}
    found = GqaEvaluator().evaluate(samples, answers)
    assert found.headline == {"accuracy": 50, "accuracy_llava": 50}
    scores = found.scores
    assert (scores["binary"], scores["open"]) == (100, pytest.approx(100 / 3))
    assert scores["questions"] == 4
    assert scores["per_structural_type"]["query"]["questions"] == 3
    assert scores["per_steps"] == {
        "1": {"accuracy": pytest.approx(100 / 3), "questions": 3},
        "3": {"accuracy": 100, "questions": 1},
    }
    assert scores["per_length"]["3"]["questions"] == 4
    # 4 is about what two things have in common: color, material and shape are valid
    assert scores["validity"] == 100
    assert scores["plausibility"] == 75
    # only 1 is right and entails others: 2 is right, 3 is wrong
    assert scores["consistency"] == 50
    # gold: red 1, blue 1; predicted: red 2, blue 0
    assert scores["distribution"] == pytest.approx((1 + 1) / 100)
    assert found.per_sample["d:5"].correct is None


def test_gqa_without_what_eval_needs() -> None:
    found = GqaEvaluator().evaluate(
        [_question("1", "no", entailed=("9",))], {"d:1": "no"}
    )  # 9 is not asked
    assert "consistency" not in found.scores
    assert "validity" not in found.scores
    assert "distribution" not in found.scores
    assert any("entailed" in note for note in found.notes)


def test_gqa_of_real_questions_and_choices(shared: Path) -> None:
    """The figures are what eval.py of GQA's eval.zip prints for these answers."""
    from collavo.datasets.registration.catalog import samples_of
    from collavo.datasets.registration.roots import use_root

    use_root(shared / "data" / "scoring")
    samples = samples_of("gqa_testdev_balanced")
    choices = shared / "data" / "scoring" / "gqa" / "choices.json"
    listed = json.loads(choices.read_text(encoding="utf-8"))
    third = {key: value["valid"][int(key) % 3] for key, value in listed.items()}
    found = GqaEvaluator().evaluate(
        samples, {s.sample_id: third[str(s.question_id)] for s in samples}
    )
    assert found.scores["questions"] == 465
    names = (
        "accuracy",
        "binary",
        "open",
        "validity",
        "plausibility",
        "consistency",
        "distribution",
    )
    assert {name: found.scores[name] for name in names} == pytest.approx(REAL, abs=1e-9)
