"""Intervals: they hold what they promise, and the fast way gives what scoring anew gives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, join
from collavo.datasets.evaluation.mme import MmeEvaluator
from collavo.datasets.evaluation.pope import PopeEvaluator
from collavo.datasets.evaluation.tally import mean_tally
from collavo.datasets.registration import roots
from collavo.datasets.registration.catalog import samples_of
from collavo.datasets.registration.readers.cells import NoCell
from collavo.records import ImageRef, Sample, one_image
from collavo.results.clusters import Clusters, find_clusters
from collavo.results.resampling import draw_weights, headline_draws, scored_anew, tally_draws
from collavo.results.scored import Scored
from collavo.results.statistics import expanded_tail, headline_intervals, interval_of


def sample(n: int, image: int | None, **more: Any) -> Sample:
    """A question with the answer yes on image number `image`."""
    ref = None if image is None else ImageRef(data=bytes([image]), name=f"{image}.jpg")
    return Sample(f"set:{n}", one_image(ref), "Is it?", n, answers=("yes",), **more)


class Plain(Evaluator):
    """Percent right, and figures that are no means; it knows nothing of resampling."""

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        right = {s.sample_id: float(text == "yes") for s, text in join(samples, answers)}
        per_image: dict[Any, list[float]] = {}
        for s in samples:
            per_image.setdefault(s.images and s.images[0].label, []).append(right[s.sample_id])
        pictured = [right[s.sample_id] for s in samples if s.images]
        headline = {
            "percent": 100 * sum(right.values()) / len(right),
            "rounded": round(100 * sum(right.values()) / len(right), 1),
            "points": sum(right.values()),
            "pictured": sum(pictured) / max(len(pictured), 1),
            "whole images": sum(all(x) for x in per_image.values()) / len(per_image),
        }
        judged = {i: SampleScore("", "", x) for i, x in right.items()}
        return Evaluation(headline, headline, {}, judged)


def plain_run(images: int = 30, questions: int = 3, blind: int = 12) -> Scored:
    """Answers of which two thirds are right, and hang together by image."""
    chance = random.Random(4)
    samples = [sample(k * questions + q, k) for k in range(images) for q in range(questions)]
    samples += [sample(1000 + k, None) for k in range(blind)]
    ease = {k: chance.random() * 0.7 + 0.3 for k in (*range(images), None)}
    answers = {
        s.sample_id: "yes"
        if chance.random() < ease[s.images[0].data[0] if s.images and s.images[0].data else None]
        else "no"
        for s in samples
    }
    evaluator = Plain()
    return Scored(evaluator, samples, answers, evaluator.evaluate(samples, answers), {})


def miniature_run(name: str, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> Scored:
    for variable in roots.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    samples = samples_of(name)
    chance = random.Random(7)
    answers = {
        s.sample_id: s.answers[0] if chance.random() < 0.7 else chance.choice(["yes", "no", "hm"])
        for s in samples
    }
    return Scored(evaluator, samples, answers, evaluator.evaluate(samples, answers), {})


def test_clusters_are_images_units_and_lone_samples():
    missing = ImageRef(cell=NoCell("no image column"))
    samples = [
        sample(0, 1), sample(1, 1), sample(2, 2),  # by image
        sample(3, None), sample(4, None),  # by themselves
        sample(5, 3, extra={"group": "g"}), sample(6, 4, extra={"group": "g"}),  # one unit
        Sample("set:7", one_image(missing), "?", 7), Sample("set:8", one_image(missing), "?", 8),
        sample(9, None, extra={"image": "a.jpg"}), sample(10, None, extra={"image": "a.jpg"}),
    ]  # fmt: skip
    clusters = find_clusters(Plain(), samples)
    assert [clusters.of[s.sample_id] for s in samples] == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 7]
    assert len(clusters) == 8 and len(clusters.strata) == 1 and clusters.freedom == 7


def test_draws_hold_each_stratum_at_its_size_and_are_the_same_from_the_start():
    clusters = Clusters({}, (np.array([0, 2, 4]), np.array([1, 3])))
    weights = np.concatenate(list(draw_weights(clusters, 200)))
    assert weights.shape == (200, 5)
    assert (weights[:, [0, 2, 4]].sum(1) == 3).all() and (weights[:, [1, 3]].sum(1) == 2).all()
    assert (np.concatenate(list(draw_weights(clusters, 70))) == weights[:70]).all()
    assert np.abs(weights.mean(0) - 1).max() < 0.2


def simulate(generator: np.random.Generator, images: int, questions: int) -> np.ndarray:
    """Right or wrong; how easy an image is differs much between images."""
    ease = generator.beta(1.4, 0.6, images)
    return (generator.random((images, questions)) < ease[:, None]).astype(float)


@pytest.mark.parametrize("images", [15, 60])
def test_coverage_on_clustered_data(images):
    questions, truth, trials = 10, 0.7, 400
    generator = np.random.default_rng(12)
    held = naive = 0
    ids = [f"{k}/{q}" for k in range(images) for q in range(questions)]
    clusters = Clusters(
        {i: n // questions for n, i in enumerate(ids)}, (np.arange(images, dtype=np.int64),)
    )
    for trial in range(trials):
        right = simulate(generator, images, questions).ravel()
        tally = mean_tally({"m": (1.0, dict(zip(ids, right.tolist(), strict=True)))})
        interval = interval_of(tally_draws(tally, clusters, 300, trial)["m"], clusters)
        held += interval.low <= truth <= interval.high
        error = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / right.size)
        naive += abs(right.mean() - truth) <= error
    # standard error of the share held: 0.011; percentile intervals of means of skewed scores
    # fall somewhat short with few images
    assert 0.92 <= held / trials <= 0.975
    assert naive / trials < 0.8  # what comes of taking the questions as independent


def test_few_clusters_widen_the_interval_as_student_does():
    assert expanded_tail(10**6) == pytest.approx(0.025, rel=1e-4)
    quantile = stats.t.ppf(0.025, 9) * np.sqrt(10 / 9)
    assert expanded_tail(9) == pytest.approx(stats.norm.cdf(quantile))


@pytest.mark.parametrize(
    ("name", "evaluator"),
    [
        ("pope_test", PopeEvaluator()),
        ("pope_test", PopeEvaluator("llava")),
        ("mme", MmeEvaluator()),
    ],
    ids=["pope", "pope llava", "mme"],
)
def test_the_tally_gives_what_scoring_anew_gives(name, evaluator, monkeypatch):
    run = miniature_run(name, evaluator, monkeypatch)
    clusters = find_clusters(evaluator, run.samples)
    tally = evaluator.tally(run.samples, run.answers, run.evaluation)
    assert tally is not None
    fast = tally_draws(tally, clusters, 40)
    slow = scored_anew(run, clusters, 40, list(run.evaluation.headline))
    assert slow.keys() == run.evaluation.headline.keys() <= fast.keys()
    for figure, values in slow.items():
        np.testing.assert_allclose(fast[figure], values, rtol=1e-12)
        assert len(set(values)) > 5


def test_mme_never_loses_a_task_in_a_draw(monkeypatch):
    run = miniature_run("mme", MmeEvaluator(), monkeypatch)
    clusters = find_clusters(run.evaluator, run.samples)
    assert len(clusters.strata) == 14
    assert clusters.freedom == len(clusters) - 14


def test_means_are_found_out_and_the_rest_is_scored_anew():
    run = plain_run()
    found = headline_intervals(run, 400)
    assert found.keys() == run.evaluation.headline.keys()
    assert {name for name, x in found.items() if x.resamples == 400} == set(found)
    assert {x.clusters for x in found.values()} == {42}
    assert found["percent"].low < run.evaluation.headline["percent"] < found["percent"].high
    # fractions stay fractions, percent percent, points points
    assert 0 < found["pictured"].low < found["pictured"].high < 1
    assert found["points"].low == pytest.approx(found["percent"].low / 100 * len(run.samples))
    assert found["rounded"] == found["percent"]
    clusters = find_clusters(run.evaluator, run.samples)
    fast, slow = (
        headline_draws(run, 50, clusters),
        scored_anew(run, clusters, 50, list(run.evaluation.headline)),
    )
    for name in ("percent", "pictured", "whole images"):
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-12)


def test_an_accident_is_no_mean():
    """All right: every figure is 1, and a form is believed only where it holds on parts, too."""

    class Pairs(Plain):
        def evaluate(self, samples, answers, metadata=None):
            found = super().evaluate(samples, answers, metadata)
            first = samples[0].sample_id
            headline = {"first": float(answers[first] == "yes")}
            return Evaluation(headline, headline, {}, found.per_sample)

    samples = [sample(n, n) for n in range(8)]
    answers = {s.sample_id: "yes" if n in (0, 2) else "no" for n, s in enumerate(samples)}
    evaluator = Pairs()
    run = Scored(evaluator, samples, answers, evaluator.evaluate(samples, answers), {})
    drawn = headline_draws(run, 200)["first"]
    assert set(drawn) == {0.0, 1.0}  # not the mean of the samples, 0.25


def test_same_everywhere_and_other_with_another_seed():
    run = plain_run()
    assert headline_intervals(run, 300) == headline_intervals(plain_run(), 300)
    assert headline_intervals(run, 300) != headline_intervals(run, 300, seed=3)


def test_the_order_in_which_answers_were_stored_does_not_matter():
    run = plain_run()
    stored = dict(reversed(list(run.answers.items())))
    evaluation = run.evaluator.evaluate(run.samples, stored)
    resumed = Scored(run.evaluator, run.samples, stored, evaluation, {})
    assert headline_intervals(resumed, 300) == headline_intervals(run, 300)


def test_no_interval_where_there_is_nothing_to_draw():
    assert headline_intervals(plain_run(), 0) == {}
    assert headline_intervals(plain_run(images=1, blind=0), 100) == {}


def test_evaluators_that_cannot_be_resampled_lose_the_interval_not_the_score():
    class Whole(Plain):
        def evaluate(self, samples, answers, metadata=None):
            if len(samples) != 102:
                raise ZeroDivisionError
            found = super().evaluate(samples, answers, metadata)
            return Evaluation({}, {"odd": 0.123}, {}, found.per_sample)

    run = plain_run()
    evaluator = Whole()
    evaluation = evaluator.evaluate(run.samples, run.answers)
    assert headline_intervals(Scored(evaluator, run.samples, run.answers, evaluation, {}), 50) == {}


def test_a_judge_is_never_asked_about_copies():
    class Judged(Plain):
        def evaluate(self, samples, answers, metadata=None):
            assert all("~" not in s.sample_id for s in samples)
            return super().evaluate(samples, answers, metadata)

    run = plain_run()
    evaluator = Judged()
    evaluator.judge = object()  # type: ignore[assignment]
    evaluation = evaluator.evaluate(run.samples, run.answers)
    found = headline_intervals(Scored(evaluator, run.samples, run.answers, evaluation, {}), 50)
    assert "percent" in found and "whole images" not in found


def test_pope_in_full_takes_seconds(monkeypatch):
    import time

    samples = [
        Sample(
            f"p:{n}", one_image(ImageRef(data=str(n % 500).encode())), "?", n,
            answers=("yes" if n % 2 else "no",), category=("random", "popular")[n % 3 == 0],
        )
        for n in range(8910)
    ]  # fmt: skip
    answers = {s.sample_id: "yes" if n % 5 else "no" for n, s in enumerate(samples)}
    evaluator = PopeEvaluator()
    run = Scored(evaluator, samples, answers, evaluator.evaluate(samples, answers), {})
    start = time.process_time()
    found = headline_intervals(run, 1000)
    assert time.process_time() - start < 5
    assert found["mean_f1"].clusters == 500 and found["mean_f1"].resamples == 1000


def test_a_ratio_of_a_judges_points_rounded_as_its_authors_do():
    from collavo.datasets.evaluation.graded import REVIEW
    from collavo.datasets.evaluation.llavabench import LLaVABenchEvaluator

    chance = random.Random(3)
    samples = [sample(n, n // 3, category="conv") for n in range(60)]
    answers = {s.sample_id: "it is" for s in samples}
    evaluator = LLaVABenchEvaluator()
    evaluator.judged = {
        s.sample_id: {REVIEW: (chance.randint(6, 10), chance.randint(2, 9))} for s in samples
    }
    evaluation = evaluator.evaluate(samples, answers)
    run = Scored(evaluator, samples, answers, evaluation, {})
    clusters = find_clusters(evaluator, samples)
    fast = headline_draws(run, 60, clusters)["all"]
    slow = scored_anew(run, clusters, 60, ["all"])["all"]
    assert len(fast) == 60 and np.abs(fast - slow).max() < 0.1  # scored anew it is rounded
