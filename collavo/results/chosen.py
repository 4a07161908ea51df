"""Any figures of an evaluation in place of its headline, so that they get intervals as it does."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collavo.datasets.evaluation.base import Evaluation, Evaluator
from collavo.errors import DataError
from collavo.results.report import figure_of, flatten, nearest_figures, unit_of

if TYPE_CHECKING:
    from collavo.datasets.evaluation.tally import Tally
    from collavo.records import Sample


class ChosenFigures(Evaluator):
    """An evaluator whose headline are chosen figures of another one's scores.

    Args:
        inner: Scores the answers.
        figures: Headline figures, or paths of its scores ("tasks.count.accuracy").
    """

    def __init__(self, inner: Evaluator, figures: Sequence[str]) -> None:
        super().__init__(inner.parser)
        self.judge, self.judged = inner.judge, inner.judged
        self._inner, self._figures = inner, tuple(figures)

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Scores as the other evaluator does.

        Raises:
            DataError: It has no such figure; the message names the nearest ones.
        """
        found = self._scoring().evaluate(samples, answers, metadata)
        headline = {name: self._figure(found, name) for name in self._figures}
        units = {name: unit_of(found, name) for name in self._figures}
        return replace(found, headline=headline, units=units)

    def tally(
        self, samples: Sequence[Sample], answers: Mapping[str, str], evaluation: Evaluation
    ) -> Tally | None:
        return self._scoring().tally(samples, answers, evaluation)

    def together(self, sample: Sample) -> str:
        return self._inner.together(sample)

    def stratum(self, sample: Sample) -> str:
        return self._inner.stratum(sample)

    def copy_of(self, sample: Sample, number: int) -> Sample:
        return self._inner.copy_of(sample, number)

    def _scoring(self) -> Evaluator:
        """The other evaluator with this one's parser and judge, which may have been replaced."""
        inner = copy.copy(self._inner)
        inner.parser, inner.judge, inner.judged = self.parser, self.judge, self.judged
        return inner

    def _figure(self, evaluation: Evaluation, name: str) -> float:
        value = figure_of(evaluation, name)
        if value is None:
            close = nearest_figures(evaluation, name)
            listed = [k for k, v in flatten(evaluation.scores) if isinstance(v, (int, float))]
            hint = f"Did you mean: {', '.join(close)}?" if close else f"It has {', '.join(listed)}."
            raise DataError(f"{type(self._inner).__name__} has no figure {name!r}. {hint}")
        return value
