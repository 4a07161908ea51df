"""Every headline figure of every built-in dataset has an interval, on the miniature."""

from __future__ import annotations

import random
import time

from collavo.datasets.registration.catalog import (
    dataset_names,
    follows_root,
    metadata_of,
    samples_of,
)
from collavo.errors import UserError
from collavo.registry import EVALUATORS
from collavo.results.scored import Scored
from collavo.results.statistics import headline_intervals


def test_every_headline_has_an_interval(no_root: None) -> None:
    chance = random.Random(0)
    seen = 0
    for name in filter(follows_root, dataset_names()):
        try:
            samples = samples_of(name)
        except UserError:
            continue  # not in the miniature
        metadata = metadata_of(name).as_dict()
        answers = {
            s.sample_id: s.answers[0] if s.answers and chance.random() < 0.7 else "yes"
            for s in samples
        }
        evaluator = EVALUATORS.get(metadata["evaluator_type"])()
        try:
            evaluation = evaluator.evaluate(samples, answers, metadata)
        except UserError:
            continue  # needs a judge
        start = time.process_time()
        found = headline_intervals(Scored(evaluator, samples, answers, evaluation, metadata), 200)
        assert found.keys() == evaluation.headline.keys(), name
        for figure, interval in found.items():
            value = evaluation.headline[figure]
            width = interval.high - interval.low
            # on the figure's own scale; of few images a draw may be biased
            assert abs((interval.low + interval.high) / 2 - value) <= max(width, 0.2 * abs(value))
        assert time.process_time() - start < 5, name
        seen += bool(found)
    assert seen >= 5
