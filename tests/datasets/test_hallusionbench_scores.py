"""HallusionBench's figures against the authors' script, and the rules without a judge."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.evaluation.hallusionbench import HallusionBenchEvaluator
from collavo.datasets.evaluation.hallusionbench_figures import Item, causes
from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.parsing import parser_of
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.results.scored import Scored
from collavo.results.statistics import headline_intervals

# What utils.py and evaluation.py of tianyi-lab/HallusionBench@744007c2 make of the judgements
# that `_random_judgements` draws.
AUTHORS = {
    "aAcc": 58.9903, "qAcc": 29.4505, "easy_aAcc": 48.1319, "hard_aAcc": 57.6744, "fAcc": 26.8786,
    "consistency_inconsistent": 61.8497, "consistency_wrong": 11.2717, "figure_score": 0.5878,
    "language_hallucination": 20.3024, "visual_illusion": 69.7624, "mixed": 9.9352,
    "yes_no_bias": 0.06643046944198405, "false_positive_ratio": 0.5809935205183585,
}  # fmt: skip


@pytest.fixture
def data(shared: Path) -> Iterator[Path]:
    use_root(shared / "data")
    yield shared / "data" / "hallusionbench"
    use_root("")


def _random_judgements(data: Path) -> list[dict[str, Any]]:
    rows = json.loads((data / "HallusionBench.json").read_text(encoding="utf-8"))
    dice = random.Random(0)
    for row in rows:
        row["gpt4v_output_gpt_check"] = dice.choice("0111120")
        row["same"] = dice.choice("01")
        row["model_prediction"] = "x"
    return rows


def _score(path: Path, parser: str = "official") -> Scored:
    samples = samples_of("hallusionbench")
    found = match(samples, read_predictions(path))
    assert not found.unknown and not found.doubled
    evaluator = HallusionBenchEvaluator(parser)
    evaluator.judged = found.judged
    asked = [s for s in samples if s.sample_id in found.answers]
    return Scored(evaluator, asked, found.answers, evaluator.evaluate(asked, found.answers), {})


def test_every_figure_is_the_authors(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(_random_judgements(data)), encoding="utf-8")
    scored = _score(file)
    assert len(scored.samples) == 1129
    for name, value in AUTHORS.items():
        assert scored.evaluation.scores[name] == pytest.approx(value, abs=1e-12), name
    assert scored.evaluator.parser == "official"
    intervals = headline_intervals(scored, 100)
    for name, value in scored.evaluation.headline.items():
        assert intervals[name].low < value < intervals[name].high
    assert intervals["qAcc"].clusters == 167  # sets of figures: none is torn apart


def test_half_judged_files_are_refused(data: Path, tmp_path: Path) -> None:
    rows = _random_judgements(data)
    del rows[5]["gpt4v_output_gpt_check"]
    file = tmp_path / "result.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"1 answers have no 'gpt4v_output_gpt_check'"):
        _score(file)


def test_the_authors_sample_of_answers(data: Path) -> None:
    scored = _score(data / "HallusionBench_result_sample.json")
    assert len(scored.samples) == 254
    assert scored.evaluator.parser == "yes_no"
    assert dict(scored.evaluation.headline) == {"aAcc": 61.4173, "qAcc": 35.0427, "fAcc": 21.7391}
    parsers = scored.evaluation.scores["parsers"]
    assert parsers["collavo"]["aAcc"] == pytest.approx(100 * 129 / 211)
    assert parsers["vlmevalkit"]["aAcc"] == pytest.approx(100 * 115 / 211)
    assert "No judge was asked" in scored.evaluation.notes[0]
    assert _score(data / "HallusionBench_result_sample.json", "vlmevalkit").evaluation.headline[
        "aAcc"
    ] == pytest.approx(100 * 115 / 211)


def test_all_right_and_all_yes(data: Path, tmp_path: Path) -> None:
    rows = json.loads((data / "HallusionBench.json").read_text(encoding="utf-8"))
    file = tmp_path / "answers.json"
    for row in rows:
        row["model_prediction"] = "Yes." if row["gt_answer"] == "1" else "No."
    file.write_text(json.dumps(rows), encoding="utf-8")
    right = _score(file).evaluation
    assert dict(right.headline) == {"aAcc": 100.0, "qAcc": 100.0, "fAcc": 100.0}
    assert (right.scores["yes_no_bias"], right.scores["false_positive_ratio"]) == (0.0, None)
    for row in rows:
        row["model_prediction"] = "yes"
    file.write_text(json.dumps(rows), encoding="utf-8")
    yes = _score(file).evaluation
    assert yes.headline["aAcc"] == round(100 * 484 / 1129, 4)
    assert yes.scores["yes_no_bias"] == pytest.approx(645 / 1129)
    assert yes.scores["false_positive_ratio"] == 1.0
    # The toolkits ask the 951 questions with a figure only.
    assert parser_of("hallusionbench", "collavo").with_figures_only
    assert yes.scores["parsers"]["collavo"]["aAcc"] == yes.scores["parsers"]["vlmevalkit"]["aAcc"]


@pytest.mark.parametrize(
    ("text", "yes_no", "collavo", "vlmevalkit"),
    [
        ("Yes.", "yes", "yes", "yes"), ("NO", "no", "no", "no"), ("", "other", "no", "other"),
        ("No, yes", "no", "yes", "other"), ("yesterday", "other", "yes", "other"),
        ("I know not", "other", "no", "other"), ("It is: yes", "yes", "yes", "yes"),
        ("unclear", "other", "no", "other"), ("eyes, no", "no", "yes", "no"),
    ],
)  # fmt: skip
def test_rules(text: str, yes_no: str, collavo: str, vlmevalkit: str) -> None:
    for name, want in (("yes_no", yes_no), ("collavo", collavo), ("vlmevalkit", vlmevalkit)):
        assert parser_of("hallusionbench", name).parse(text) == want


LANGUAGE, VISUAL, MIXED = "language_hallucination", "visual_illusion", "mixed"


@pytest.mark.parametrize(
    ("category", "original", "visual", "code", "same", "wanted"),
    [  # The first error is the one on figure 0, where there is one.
        ("VD", "1", "2", "1", True, []), ("VD", "1", "2", "0", True, [MIXED]),
        ("VD", "1", "2", "0", False, [VISUAL]), ("VD", "1", "2", "2", True, [VISUAL]),
        ("VD", "0", "2", "0", True, [VISUAL, VISUAL]), ("VD", "2", "2", "1", True, [VISUAL]),
        ("VS", "0", "1", "0", True, [LANGUAGE, LANGUAGE]),
        ("VS", "0", "1", "0", False, [LANGUAGE, MIXED]),
        ("VS", "0", "1", "2", True, [LANGUAGE, MIXED]), ("VS", "2", "2", "0", True, [VISUAL]),
        ("VS", "2", "2", "1", True, []), ("VS", "1", "1", "0", True, [VISUAL]),
        ("VS", "1", "2", "0", True, [LANGUAGE]), ("VS", "1", "2", "0", False, [VISUAL]),
        ("VS", "1", "2", "2", True, [VISUAL]),
    ],
)  # fmt: skip
def test_what_an_error_is_put_down_to(
    category: str, original: str, visual: str, code: str, same: bool, wanted: list[str]
) -> None:
    first = Item(category, "chart", "0", "0", "0", "1", True, original)
    item = Item(category, "chart", "0", "1", "0", visual, True, code, same)
    found = causes([item, first])
    assert found == {
        name: 100 * wanted.count(name) / len(wanted) if wanted else None
        for name in (LANGUAGE, VISUAL, MIXED)
    }
    alone = causes([item])
    assert set(alone.values()) == {None}, "without an answer on figure 0 nothing can be said"
