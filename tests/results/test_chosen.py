"""Any figure of an evaluation gets the draws that a headline figure gets."""

from __future__ import annotations

import random

import numpy as np
import pytest

from collavo.datasets.evaluation.mme import MmeEvaluator
from collavo.datasets.registration.catalog import samples_of
from collavo.errors import DataError
from collavo.results.chosen import ChosenFigures
from collavo.results.clusters import find_clusters
from collavo.results.resampling import headline_draws, scored_anew
from collavo.results.scored import Scored


@pytest.fixture
def run(no_root: None):
    """Answers to the miniature of MME, most of them right, and a way to score chosen figures."""
    samples, chance = samples_of("mme"), random.Random(3)
    answers = {
        s.sample_id: s.answers[0] if chance.random() < 0.7 else chance.choice(["yes", "no"])
        for s in samples
    }

    def score(*figures: str, evaluator=None) -> Scored:
        chosen = ChosenFigures(evaluator or MmeEvaluator(), figures)
        return Scored(chosen, samples, answers, chosen.evaluate(samples, answers, {}), {})

    return score


def test_figures_of_a_task_are_resampled_by_the_tally(run):
    names = ("tasks.count.accuracy", "tasks.position.score", "perception")
    scored = run(*names)
    tasks = scored.evaluation.scores["tasks"]
    assert scored.evaluation.headline == {
        "tasks.count.accuracy": tasks["count"]["accuracy"],
        "tasks.position.score": tasks["position"]["score"],
        "perception": scored.evaluation.scores["perception"],
    }
    assert scored.evaluation.units["tasks.count.accuracy"] == "percent"
    clusters = find_clusters(scored.evaluator, scored.samples)
    fast = headline_draws(scored, 12)
    slow = scored_anew(scored, clusters, 12, names)
    assert fast.keys() == slow.keys() == set(names)
    for name in names:
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-12)
        assert len(set(fast[name])) > 3


def test_a_figure_without_a_formula_is_resampled_too(run):
    class Plain(MmeEvaluator):
        """Has no tally."""

        def tally(self, samples, answers, evaluation):
            return None

    known = headline_draws(run("tasks.count.accuracy"), 20)
    found = headline_draws(run("tasks.count.accuracy", evaluator=Plain()), 20)
    np.testing.assert_allclose(*(x["tasks.count.accuracy"] for x in (found, known)), rtol=1e-9)


def test_another_parser_reads_the_answers_of_the_inner_evaluator(run):
    scored = run("total")
    read = scored.read_by("vlmevalkit")
    assert read is not None
    parsers = scored.evaluation.scores["parsers"]
    assert read.evaluation.headline["total"] == parsers["vlmevalkit"]["total"]


def test_an_unknown_figure_names_the_nearest(run):
    with pytest.raises(DataError, match=r"MmeEvaluator has no figure 'perceptoin'.*perception"):
        run("perceptoin")
    with pytest.raises(DataError, match=r"no figure 'tasks\.count'.*tasks\.count\.score"):
        run("tasks.count")
