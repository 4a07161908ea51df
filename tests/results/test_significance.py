"""Tests of two runs against scipy's and against simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from collavo.results.significance import holm, mcnemar, sign_flip_p


@pytest.mark.parametrize(("broken", "fixed"), [(0, 0), (0, 1), (3, 3), (2, 9), (0, 24), (12, 12)])
def test_few_discordant_pairs_are_tested_exactly(broken, fixed):
    found = mcnemar(broken, fixed)
    total = broken + fixed
    expected = stats.binomtest(broken, total, 0.5).pvalue if total else 1.0
    assert found.p == pytest.approx(expected, rel=1e-12)
    assert found.method == "exact binomial" and found.statistic is None


@pytest.mark.parametrize(("broken", "fixed"), [(5, 20), (12, 13), (40, 90), (295, 35), (50, 50)])
def test_many_discordant_pairs_by_chi_square(broken, fixed):
    found = mcnemar(broken, fixed)
    statistic = max(abs(broken - fixed) - 1, 0) ** 2 / (broken + fixed)
    assert found.statistic == pytest.approx(statistic)
    assert found.p == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)
    assert found.method.startswith("chi-square")


def test_all_signs_of_few_images_are_tried():
    values = np.array([3.0, 1.0, -1.0, 2.0, 0.0])
    expected = stats.permutation_test(
        (values,), lambda x, axis: x.sum(axis), permutation_type="samples", vectorized=True,
        n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert sign_flip_p(values) == pytest.approx(expected)


def test_random_signs_are_near_the_normal_and_repeatable():
    values = np.random.default_rng(0).normal(0.15, 1, 200)
    normal = 2 * stats.norm.sf(abs(values.sum()) / np.sqrt((values**2).sum()))
    assert sign_flip_p(values) == pytest.approx(normal, abs=0.02)
    assert sign_flip_p(values) == sign_flip_p(values)
    assert sign_flip_p(np.full(40, 1.0)) == pytest.approx(1e-4)
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_sign_flips_keep_their_level_where_mcnemar_does_not():
    """Questions of one image change together, and neither run is better."""
    generator = np.random.default_rng(5)
    trials, images, questions = 200, 30, 12
    flips = pairs = 0
    for _ in range(trials):
        changes = generator.integers(-1, 2, images) * (generator.random(images) < 0.5)
        changes = changes * generator.integers(questions // 2, questions, images)
        flips += sign_flip_p(changes) < 0.05
        pairs += mcnemar(int(-changes[changes < 0].sum()), int(changes[changes > 0].sum())).p < 0.05
    assert flips / trials < 0.09
    assert pairs / trials > 0.3


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
