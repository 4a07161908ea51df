"""Counts of yes/no answers against labels, and the figures made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Confusion:
    """How often each answer met each label; "yes" is the positive class.

    Args:
        tp: Answered yes, labelled yes.
        fp: Answered yes, labelled no.
        tn: Answered no, labelled no.
        fn: Answered no, labelled yes.
        other_yes: Neither yes nor no, labelled yes.
        other_no: Neither yes nor no, labelled no.
        unparsed_is_no: Whether the last two count as no in recall (they are wrong in accuracy).
    """

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0
    other_yes: int = 0
    other_no: int = 0
    unparsed_is_no: bool = False

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], unparsed_is_no: bool = False) -> Confusion:
        """Counts pairs of a parsed answer and a label ("yes" or "no")."""
        counts = dict.fromkeys(("tp", "fp", "tn", "fn", "other_yes", "other_no"), 0)
        names = {
            ("yes", "yes"): "tp",
            ("yes", "no"): "fp",
            ("no", "no"): "tn",
            ("no", "yes"): "fn",
        }
        for parsed, label in pairs:
            counts[names.get((parsed, label), f"other_{label}")] += 1
        return cls(**counts, unparsed_is_no=unparsed_is_no)

    @property
    def total(self) -> int:
        """How many answers there are."""
        return self.tp + self.fp + self.tn + self.fn + self.other_yes + self.other_no

    @property
    def accuracy(self) -> float:
        """Right answers among all, as a fraction."""
        return ratio(self.tp + self.tn, self.total)

    @property
    def precision(self) -> float:
        """Right among the answers yes; 0 where there is none."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Answered yes among those labelled yes; 0 where there is none."""
        return ratio(self.tp, self.tp + self.fn + self.other_yes * self.unparsed_is_no)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        return ratio(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_ratio(self) -> float:
        """Answers yes among all."""
        return ratio(self.tp + self.fp, self.total)

    def row(self) -> tuple[int, int, int, int, int, int]:
        """Returns the six counts, in the order of the fields."""
        return astuple(self)[:6]

    def figures(self) -> dict[str, float | int]:
        """Returns every figure and count by name."""
        return {
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "yes_ratio": self.yes_ratio,
            "tp": self.tp,
            "fp": self.fp,
            "tn": self.tn,
            "fn": self.fn,
            "other": self.other_yes + self.other_no,
            "questions": self.total,
        }


def ratio(part: float, whole: float) -> float:
    """Divides; 0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


def mean(values: Iterable[float]) -> float:
    """The mean; 0 of nothing."""
    listed = list(values)
    return ratio(sum(listed), len(listed))
