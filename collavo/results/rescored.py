"""Stored runs scored anew on the dataset at hand, so that their figures can be resampled."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collavo.errors import UserError
from collavo.records import Sample
from collavo.registry import UnknownNameError
from collavo.results.scored import Scored
from collavo.results.stored_runs import StoredRow, StoredRun

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it is at hand now."""

    samples: Sequence[Sample]
    evaluator: Evaluator
    metadata: Mapping[str, Any]

    def holds(self, rows: Mapping[str, StoredRow]) -> bool:
        """Whether it is the one that was asked."""
        questions = {s.sample_id: s.question for s in self.samples}
        return all(i in questions and row.question in ("", questions[i]) for i, row in rows.items())

    def score(self, rows: Mapping[str, StoredRow]) -> Scored:
        """Scores the answers of the samples that stand in `rows`."""
        samples = [s for s in self.samples if s.sample_id in rows]
        answers = {i: row.answer or "" for i, row in rows.items()}
        evaluation = self.evaluator.evaluate(samples, answers, self.metadata)
        return Scored(self.evaluator, samples, answers, evaluation, self.metadata)


def dataset_at_hand(cfg: Any, stored: StoredRun, miniature: bool = False) -> Dataset | None:
    """Reads the dataset of a run where it is at hand; None, with a warning, where it is not.

    Args:
        cfg: The configuration: DATASETS.ROOT, DATASETS.LAYOUT, EVALUATOR.
        stored: The run.
        miniature: The run is on the built-in miniature, whatever it says of itself.
    """
    from collavo.datasets.registration.catalog import metadata_of, samples_of
    from collavo.datasets.registration.layouts import use_files
    from collavo.datasets.registration.roots import use_root
    from collavo.registry import EVALUATORS

    use_files(cfg, miniature=False)
    try:
        if miniature or stored.miniature:
            from collavo.datasets.miniature.build import miniature_root

            use_root(miniature_root())
        metadata = metadata_of(stored.dataset).as_dict()
        samples = samples_of(stored.dataset)
        name = cfg.EVALUATOR or metadata.get("evaluator_type", "")
        evaluator = EVALUATORS.get(name)(stored.parser)
    except (UserError, UnknownNameError) as error:
        logger.warning("headline figures get no intervals, the dataset is needed: %s", error)
        return None
    return Dataset(samples, evaluator, metadata)
