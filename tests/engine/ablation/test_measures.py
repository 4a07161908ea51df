"""Means over seeds, intervals and paired differences, against a computation by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collavo.config import get_cfg
from collavo.engine.ablation.jobs import Job, TrainStage
from collavo.engine.ablation.measures import Measured, Measures, measure
from collavo.engine.ablation.plan import Figure
from collavo.errors import DataError
from collavo.plugins import load_plugins
from collavo.results.clusters import find_clusters
from collavo.results.resampling import draw_weights
from collavo.results.statistics import expanded_tail

IMAGES, QUESTIONS = 12, 4

ALL = Figure("all", "All", "toy_set", ("accuracy",))
SUM = Figure("sum", "Sum", "toy_set", ("groups.q0.accuracy", "groups.q1.accuracy"))


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """Returns a function that leaves a finished job with answers right (images, questions)."""
    load_plugins(str(Path(__file__).parent / "plugin" / "toy_set.py"))

    def make(arm: str, seed: int, right: np.ndarray, **flags: bool) -> Job:
        folder = tmp_path / arm / str(seed)
        (folder / "eval").mkdir(parents=True)
        rows: list[dict[str, Any]] = []
        for i in range(IMAGES):
            for q in range(QUESTIONS):
                truth = ["no", "yes"][(i + q) % 2]
                said = truth if right[i, q] else {"no": "yes", "yes": "no"}[truth]
                rows.append(
                    {
                        "sample_id": f"toy_set:{i}-{q}",
                        "question": f"Is it {q}?",
                        "image": f"{i}.jpg",
                        "answer": said,
                        "correct": bool(right[i, q]),
                    }
                )
        chance = np.random.default_rng(seed)
        lines = [json.dumps(rows[k]) + "\n" for k in chance.permutation(len(rows))]
        (folder / "eval" / "predictions.jsonl").write_text("".join(lines))
        results = {"dataset": "toy_set", "flags": flags, "headline": {"accuracy": right.mean()}}
        results["scores"] = {"groups": {f"q{q}": {"accuracy": right[:, q].mean()} for q in (0, 1)}}
        (folder / "eval" / "results.json").write_text(json.dumps(results))
        (folder / "done.json").write_text(json.dumps({"seconds": {"train": 60.0, "eval": 6.0}}))
        (folder / "stage").mkdir()
        lines = [
            {"step": 1, "seconds": 9.0},
            {"step": 1, "seconds": 2.0},
            {"step": 2, "seconds": 4},
        ]
        metrics = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "stage" / "metrics.jsonl").write_text(metrics)
        return Job(arm, seed, folder, (TrainStage(folder / "stage", {}),), {})

    return make


def answers(arm: float, seed: int) -> np.ndarray:
    """Which answers are right; some images are harder than others, and seeds differ."""
    chance = np.random.default_rng([int(arm * 100), seed])
    ease = np.linspace(arm - 0.3, arm + 0.2, IMAGES)[:, None]
    return chance.random((IMAGES, QUESTIONS)) < ease


def test_the_interval_is_that_of_the_mean_over_seeds_on_the_same_draws(job):
    right = {("a", s): answers(0.6, s) for s in range(3)}
    right |= {("b", s): answers(0.75, s) for s in range(3)}
    jobs = [job(arm, seed, given) for (arm, seed), given in right.items()]
    cfg = get_cfg((), ["EVAL.BOOTSTRAP", 300])
    found = measure(jobs, [ALL, SUM], cfg)

    # by hand: draw images, take the figure of every seed among the drawn, then the mean
    clusters = find_clusters(_Alone(), _samples())
    weights = np.concatenate(list(draw_weights(clusters, 300)))
    order = [clusters.of[f"toy_set:{i}-0"] for i in range(IMAGES)]
    drawn: dict[str, list[float]] = {"a": [], "b": []}
    for row in weights.astype(int):
        images = [i for i in range(IMAGES) for _ in range(row[order[i]])]
        for arm in drawn:
            each = [right[arm, s][images].mean() for s in range(3)]
            drawn[arm].append(float(np.mean(each)))
    tail = expanded_tail(IMAGES - 1)
    for arm in ("a", "b"):
        measured = found.figures[arm, "all"]
        assert measured.mean == pytest.approx(np.mean([right[arm, s].mean() for s in range(3)]))
        np.testing.assert_allclose(measured.draws, drawn[arm], rtol=1e-12)
        low, high = np.quantile(drawn[arm], [tail, 1 - tail])
        interval = measured.interval
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((low, high))
        assert interval.resamples == 300
        values = [right[arm, s].mean() for s in range(3)]
        assert measured.deviation == pytest.approx(np.std(values, ddof=1))

    gap = found.gap("b", "a", "all")
    assert gap is not None
    assert gap.interval is not None
    paired = np.array(drawn["b"]) - np.array(drawn["a"])
    assert (gap.interval.low, gap.interval.high) == pytest.approx(
        tuple(np.quantile(paired, [tail, 1 - tail]))
    )
    signs = [right["b", s].mean() > right["a", s].mean() for s in range(3)]
    assert (gap.agreeing, gap.paired) == (sum(signs), 3)
    assert found.asked["toy_set"].samples == 48
    assert found.asked["toy_set"].clusters == 12


def test_a_sum_of_figures_is_resampled_as_a_sum(job):
    right = answers(0.7, 0)
    found = measure([job("a", 0, right)], [SUM], get_cfg((), ["EVAL.BOOTSTRAP", 100]))
    measured = found.figures["a", "sum"]
    assert measured.mean == pytest.approx(right[:, 0].mean() + right[:, 1].mean())
    assert measured.deviation is None
    assert found.seconds["a", 0] == {"train": 6.0, "eval": 6.0}
    clusters = find_clusters(_Alone(), _samples())
    order = [clusters.of[f"toy_set:{i}-0"] for i in range(IMAGES)]
    weights = np.concatenate(list(draw_weights(clusters, 100)))[:, order]
    expected = weights @ (right[:, 0].astype(float) + right[:, 1]) / IMAGES
    np.testing.assert_allclose(measured.draws, expected, rtol=1e-9)


def test_without_draws_there_are_figures_alone(job):
    found = measure([job("a", 0, answers(0.7, 0))], [ALL], get_cfg((), ["EVAL.BOOTSTRAP", 0]))
    assert found.figures["a", "all"].interval is None
    assert found.figures["a", "all"].mean == answers(0.7, 0).mean()


def test_where_the_dataset_is_not_at_hand_the_stored_figures_serve(job, caplog):
    right = answers(0.7, 0)
    found = measure([job("a", 0, right)], [ALL, SUM], get_cfg((), ["EVALUATOR", "gone"]))
    assert "get no intervals" in caplog.text
    assert found.figures["a", "sum"].mean == pytest.approx(right[:, :2].mean(0).sum())
    assert found.figures["a", "sum"].interval is None


def test_flags_are_told_and_failed_questions_refused(job):
    jobs = [job("a", 0, answers(0.7, 0)), job("b", 0, answers(0.7, 1), untrained=True)]
    found = measure(jobs, [ALL], get_cfg((), ["EVAL.BOOTSTRAP", 0]))
    assert [flag.split(":")[0] for flag in found.asked["toy_set"].flags] == ["untrained"]
    file = jobs[1].folder / "eval" / "predictions.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[3]["answer"] = None
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"b, seed 0: .* has 1 questions without an answer, such"):
        measure(jobs, [ALL], get_cfg((), ["EVAL.BOOTSTRAP", 0]))


def test_seeds_that_agree_are_counted_among_those_that_both_have():
    first = Measured({0: 0.5, 1: 0.6, 2: 0.7}, "fraction")
    second = Measured({1: 0.9, 2: 0.65, 3: 0.9}, "fraction")
    found = Measures({("a", "all"): first, ("b", "all"): second})
    gap = found.gap("b", "a", "all")
    assert gap is not None
    assert (gap.agreeing, gap.paired, gap.interval, gap.is_clear) == (1, 2, None, False)
    found.figures["c", "all"] = first
    same = found.gap("c", "a", "all")
    assert same is not None
    assert (same.value, same.agreeing, same.paired) == (0.0, 0, 3)
    assert found.gap("a", "a", "all") is None
    assert found.gap("d", "a", "all") is None


class _Alone:
    """Joins nothing but the questions on an image."""

    def together(self, sample: Any) -> str:
        return ""

    def stratum(self, sample: Any) -> str:
        return ""


def _samples() -> list[Any]:
    from collavo.datasets.registration.catalog import samples_of

    return list(samples_of("toy_set"))
