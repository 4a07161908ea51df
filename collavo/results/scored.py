"""One run on one dataset, scored, which can be scored again in part or as another parser reads."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collavo.errors import UserError
from collavo.records import Sample

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluation, Evaluator

logger = logging.getLogger(__name__)

REFUSALS = (UserError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an evaluator that was written for whole datasets may raise when it gets a part of one."""


@dataclass(frozen=True)
class Scored:
    """One run on one dataset, scored.

    Args:
        evaluator: What scored it.
        samples: The samples that were answered, in file order.
        answers: The raw text by sample id.
        evaluation: The scores.
        metadata: The dataset's.
    """

    evaluator: Evaluator
    samples: Sequence[Sample]
    answers: Mapping[str, str]
    evaluation: Evaluation
    metadata: Mapping[str, Any]

    def headline_of(
        self, samples: Sequence[Sample], answers: Mapping[str, str] | None = None
    ) -> Mapping[str, float]:
        """Scores some samples by themselves; nothing where the evaluator does not take them."""
        found = self.answers if answers is None else answers
        given = {s.sample_id: found[s.sample_id] for s in samples}
        try:
            return self.evaluator.evaluate(samples, given, self.metadata).headline
        except REFUSALS as error:
            logger.debug("%s takes no part: %r", type(self.evaluator).__name__, error)
            return {}

    def read_by(self, parser: str) -> Scored | None:
        """Returns the same answers as another parser reads them, None where there is none."""
        evaluator = copy.copy(self.evaluator)
        evaluator.parser = parser
        try:
            evaluation = evaluator.evaluate(self.samples, self.answers, self.metadata)
        except REFUSALS as error:
            logger.debug("%s: no parser %r: %r", type(self.evaluator).__name__, parser, error)
            return None
        return Scored(evaluator, self.samples, self.answers, evaluation, self.metadata)
