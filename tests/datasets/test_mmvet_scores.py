"""MM-Vet's figures against the authors' CSV files, made of published GPT-4 grades."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.mmvet import MMVetEvaluator
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.roots import use_root
from collavo.errors import DataError
from collavo.records import Sample


@pytest.fixture
def results(shared: Path) -> Iterator[Path]:
    use_root(shared / "data")
    yield shared / "data" / "mmvet"
    use_root("")


def _csv(path: Path) -> dict[frozenset[str], str]:
    with path.open(encoding="utf-8") as file:
        header, row, *_ = csv.reader(file)
    return {
        frozenset(name.split("_")): value for name, value in zip(header[1:], row[1:], strict=True)
    }


@pytest.mark.parametrize(
    "name",
    [
        "results/llava-v1.5-13b_gpt-4-{}-3runs",
        "results/llava-v1.5-13b_gpt-4-{}-1runs",
        "results_haoming/llava-v1.5-7b_gpt-4-0613-{}-1runs",
    ],
)
def test_every_figure_of_the_authors_tables(results: Path, name: str, tmp_path: Path) -> None:
    samples = samples_of("mm-vet")
    assert len(samples) == 218
    found = match(samples, read_predictions(results / f"{name.format('grade')}.json"))
    assert found.complete
    evaluator = MMVetEvaluator()
    evaluator.judged = found.judged
    files = {p.name: p for p in evaluator.submission(samples, found.answers, tmp_path)}
    for kind in ("cap-score", "cap-int-score"):
        theirs = results / f"{name.format(kind)}.csv"
        ours = files["model_" + theirs.name.split("_", 1)[1]]
        assert _csv(ours) == _csv(theirs)
    (grades,) = (p for p in files.values() if "grade" in p.name)
    theirs = json.loads((results / f"{name.format('grade')}.json").read_text(encoding="utf-8"))
    ours = json.loads(grades.read_text(encoding="utf-8"))
    assert ours == theirs


def test_three_gradings_of_llava(results: Path) -> None:
    samples = samples_of("mm-vet")
    file = results / "results/llava-v1.5-13b_gpt-4-grade-3runs.json"
    found = match(samples, read_predictions(file))
    evaluator = MMVetEvaluator()
    evaluator.judged = found.judged
    scored = evaluator.evaluate(samples, found.answers)
    assert scored.headline == {"total": 36.3} and scored.scores["std"] == 0.2
    assert scored.scores["capabilities"] == {
        "rec": 40.5, "ocr": 28.4, "know": 23.5, "gen": 24.2, "spat": 35.2, "math": 8.8,
    }  # fmt: skip
    mean = sum(float(score.correct or 0) for score in scored.per_sample.values()) / 218
    assert 100 * mean == pytest.approx(scored.scores["unrounded"]["total"])


def _sample(key: str) -> Sample:
    return Sample(f"mm-vet:{key}", (), "q", key, answers=("a",), extra={"capability": ("rec",)})


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        ({"mm-vet:1": {"score": [1.0]}}, "mm-vet:2 has no grades"),
        ({"mm-vet:1": {"score": [1.0]}, "mm-vet:2": {"score": [1, 0]}}, "from 1 to 2 gradings"),
        ({"mm-vet:1": {"score": [1.0]}, "mm-vet:2": {"score": [1.5]}}, "must be from 0 to 1"),
    ],
)
def test_broken_grades_are_refused(judged: dict[str, dict[str, list[float]]], message: str) -> None:
    evaluator = MMVetEvaluator()
    evaluator.judged = judged
    with pytest.raises(DataError, match=message):
        evaluator.evaluate([_sample("1"), _sample("2")], {"mm-vet:1": "", "mm-vet:2": ""})


def test_rounding_is_numpys() -> None:
    evaluator = MMVetEvaluator()
    # 6.25 to one decimal: 6.2, to the nearest even tenth.
    evaluator.judged = {f"mm-vet:{k}": {"score": [float(k == 0)]} for k in range(16)}
    samples = [_sample(str(k)) for k in range(16)]
    scored = evaluator.evaluate(samples, {s.sample_id: "" for s in samples})
    assert scored.headline["total"] == 6.2
