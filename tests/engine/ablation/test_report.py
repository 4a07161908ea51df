"""What the tables of an ablation say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collavo.engine.ablation.measures import Asked, Measured, Measures
from collavo.engine.ablation.plan import Arm, Comparison, Figure, Plan, Stage
from collavo.engine.ablation.report import AblationReport
from collavo.engine.ablation.runner import Failure, _last_words
from collavo.results.clusters import Clusters


@pytest.fixture
def report() -> AblationReport:
    """Three arms of two seeds: one clearly better, one about as good."""
    clusters = Clusters({}, (np.arange(40),))
    noise = np.random.default_rng(0).normal(0, 0.02, (3, 500))

    def measured(first: float, second: float, draws: np.ndarray, unit: str) -> Measured:
        mean = (first + second) / 2
        return Measured({0: first, 1: second}, unit, mean + draws, clusters)

    figures = {
        ("none", "acc"): measured(0.70, 0.72, noise[0], "fraction"),
        ("same", "acc"): measured(0.74, 0.69, noise[1], "fraction"),
        ("full", "acc"): measured(0.88, 0.90, noise[2], "fraction"),
        ("none", "points"): measured(100.0, 110.0, noise[0], "points of 200"),
        ("full", "points"): measured(90.0, 95.0, noise[2], "points of 200"),
    }
    stages = (Stage(Path("stage.yaml")),)
    arms = [
        Arm("none", "no crayon", stages, paper={"acc": 71, "points": 141}),
        Arm("same", "a | b", weights_of="full", paper={"acc": 74}),
        Arm("full", "crayon", stages, paper={"acc": 80, "points": 160}),
    ]
    plan = Plan(
        "toy", "Toy", "About it.", (0, 1), {}, {}, {},
        {arm.name: arm for arm in arms},
        {
            "acc": Figure("acc", "Accuracy", "pope_test", ("mean_accuracy",)),
            "points": Figure("points", "Points", "mme", ("total",)),
        },
        (Comparison("Table 2", ("none", "same", "full"), ("acc", "points"), "none", "arXiv 1"),),
    )  # fmt: skip
    seconds = {(arm.name, seed): {"train": 120.0, "eval": 30.0} for arm in arms for seed in (0, 1)}
    asked = {"pope_test": Asked(100, 40, ("miniature: the built-in miniature",))}
    measures = Measures(figures, asked, seconds)
    failure = Failure("gone", 1, "train", 2, ("error: no", "more"), "log")
    return AblationReport(plan, list(plan.arms), (0, 1), measures, [failure], "python x")


def test_markdown(report):
    text = report.markdown()
    assert text.startswith("# Toy\n\nAbout it.\n\n```\npython x\n```\n")
    assert "- pope_test: 100 questions on 40 images. Miniature: the built-in miniature." in text
    lines = text.splitlines()
    figures = lines[lines.index("Figures:") + 2 :]
    assert figures[0] == "| arm | Accuracy (fraction) | Points (points of 200) |"
    assert figures[2].startswith("| no crayon | 0.710 [0.6")
    assert figures[3].startswith("| a \\| b | 0.715 [")
    assert figures[3].endswith(" | - |")
    gaps = lines[lines.index("Difference to “no crayon”:") + 4 :]
    assert gaps[0].startswith("| a \\| b | +0.005 [-0.0")
    assert "] 1/2" in gaps[0]  # one seed is better, one worse; the interval holds 0
    assert gaps[1].startswith("| crayon | +0.180 [+0.1")
    assert "]* 2/2 | -12.5 [-12." in gaps[1]
    spread = lines[lines.index("Standard deviation over seeds (lowest to highest):") + 4]
    assert spread == "| no crayon | 0.014 (0.700 to 0.720) | 7.1 (100.0 to 110.0) |"
    paper = lines[lines.index("The paper's figures (arXiv 1) beside ours:") + 4 :]
    assert paper[0] == "| a \\| b | Accuracy | 74 | +3 | +0.005 | not clear here |"
    assert paper[1] == "| crayon | Accuracy | 80 | +9 | +0.180 | as in the paper |"
    assert paper[2] == "| crayon | Points | 160 | +19 | -12.5 | against the paper |"
    assert "| crayon | 2 | 2.0 | 0.5 |" in lines
    assert "| a \\| b | 2 | - | 0.5 |" in lines  # the training is another arm's
    assert "| gone | 1 | train | 2 | error: no / more |" in lines


def test_json(report):
    found = report.as_dict()
    full = found["arms"]["full"]["figures"]["acc"]
    assert (full["mean"], full["paper"]) == (pytest.approx(0.89), 80)
    assert full["interval"]["clusters"] == 40
    gap = found["comparisons"][0]["differences"]["full"]["acc"]
    assert gap["value"] == pytest.approx(0.18)
    assert gap["is_clear"]
    assert gap["interval"]["low"] > 0.1
    assert found["failures"][0]["words"] == ("error: no", "more")


def test_a_reference_that_is_not_finished_is_left_out(report):
    for seed in (0, 1):
        del report.measures.seconds["none", seed]
    text = report.markdown()
    assert "Difference to" not in text
    assert "Not finished: none, seed 0, 1." in text
    assert "| crayon | Accuracy | 80 | - | - | - |" in text


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ("it said nothing",)),
        ("\x1b[31mred\x1b[0m\n\nlast\n", ("red", "last")),
        ("a\nerror: bad\nuse x\n", ("error: bad", "use x")),
        ("10 %\r20 %\nTraceback (most recent call last):\n  File\n    ^^^\nKeyError: 3\n",
         ("10 %", "20 %", "Traceback (most recent call last):", "KeyError: 3")),
        ("".join(f"{k}\n" for k in range(20)), tuple("14 15 16 17 18 19".split())),
    ],
)  # fmt: skip
def test_last_words(tmp_path: Path, log, words):
    file = tmp_path / "log"
    file.write_text(log)
    assert _last_words(file) == words
