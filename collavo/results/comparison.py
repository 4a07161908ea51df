"""What a comparison of two runs finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from collavo.results.pairing import changes_answers
from collavo.results.significance import McNemar
from collavo.results.statistics import Interval

SCORE = "mean of per-sample scores"
"""The figure that every pair of scored runs has, as a fraction."""


@dataclass(frozen=True)
class Difference:
    """One figure of both runs; the difference is second minus first, in the figure's unit.

    `interval` is that of the difference, None where the figure cannot be resampled.
    """

    figure: str
    unit: str
    first: float
    second: float
    interval: Interval | None = None

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class Flip:
    """A sample whose score changed."""

    sample_id: str
    question: str
    image: str
    reference: Any
    first: str | None
    second: str | None
    change: float


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs on one dataset.

    Args:
        dataset: Its name.
        samples: How many both runs answered.
        clusters: How many images (or text-only questions) those are about.
        figures: Headline figures, and `SCORE`.
        test: McNemar's, where each sample is right or wrong.
        p: By sign flips of images; None where nothing is scored.
        fixed: Samples that score higher in the second run, by gain.
        broken: Samples that score lower, by loss.
        changed: Answers that differ as text.
        settings: Configuration keys that differ: key, first, second; see `changes_answers`.
        notes: Sentences for the reader.
        corrected: Holm's p-values over the compared datasets, by the name of the test.
    """

    dataset: str
    samples: int
    clusters: int
    figures: Sequence[Difference]
    test: McNemar | None
    p: float | None
    fixed: Sequence[Flip]
    broken: Sequence[Flip]
    changed: int
    settings: Sequence[tuple[str, Any, Any]]
    notes: Sequence[str] = ()
    corrected: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self, flips: int | None = None) -> dict[str, Any]:
        """Returns what JSON holds; `flips` limits how many samples are listed of each kind."""
        return {
            "dataset": self.dataset,
            "samples": self.samples,
            "clusters": self.clusters,
            "figures": [asdict(x) | {"difference": x.difference} for x in self.figures],
            "mcnemar": asdict(self.test) if self.test else None,
            "sign_flip_p": self.p,
            "holm": dict(self.corrected),
            "counts": {
                "fixed": len(self.fixed),
                "broken": len(self.broken),
                "answers_changed": self.changed,
            },
            "fixed": [asdict(x) for x in self.fixed[:flips]],
            "broken": [asdict(x) for x in self.broken[:flips]],
            "config": [
                {"key": k, "first": a, "second": b, "changes_answers": changes_answers(k)}
                for k, a, b in self.settings
            ],
            "notes": list(self.notes),
        }
