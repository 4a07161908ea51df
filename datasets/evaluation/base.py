"""The contract of an evaluator: samples and answers in, scores out, joined by sample id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collavo.records import Sample


@dataclass(frozen=True)
class SampleScore:
    """How one answer was read and judged.

    Args:
        parsed: The answer as read by the rule.
        reference: What it was compared with.
        correct: True or False, or a soft score in [0, 1]; None where the split hides the answers.
    """

    parsed: str | None
    reference: str | list[str] | None
    correct: bool | float | None


@dataclass(frozen=True)
class Evaluation:
    """The scores of one run on one dataset.

    Args:
        scores: Every figure that the authors print, nested by split or task, in the authors' units.
        headline: The figures that papers quote, by name ("mean_accuracy", "perception").
        units: The unit of each headline figure ("fraction", "percent", "points of 2000").
        per_sample: The judgement of each sample, by sample id.
        notes: Sentences for the reader, such as which file version was recognised.
        tables: Rows to print: title, column names, rows.
    """

    scores: Mapping[str, Any]
    headline: Mapping[str, float]
    units: Mapping[str, str]
    per_sample: Mapping[str, SampleScore]
    notes: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """One table of a report; cells are text or numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


class Evaluator(ABC):
    """Scores answers. Knows nothing of models, files of answers or order."""

    @abstractmethod
    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Scores `answers`, which hold exactly one raw model text for each sample id.

        Args:
            samples: The dataset, in file order.
            answers: The raw text by sample id.
            metadata: The dataset's metadata (published figures, expected counts).

        Raises:
            ValueError: An id is missing or unknown; the ids are listed.
        """
