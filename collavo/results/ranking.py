"""How well the likelihood of yes ranks the questions: P(yes) and the area under the ROC curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

YES_NO = ("Yes", "No")
"""The answers whose likelihoods are compared."""


def yes_probability(options: Mapping[str, float]) -> float | None:
    """P(yes) among yes and no, from their log-probabilities; None for other options."""
    if set(options) != set(YES_NO):
        return None
    return 1.0 / (1.0 + math.exp(min(700.0, options["No"] - options["Yes"])))


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties half.

    Args:
        scores: P(yes) of each question.
        labels: Whether yes is right.

    Returns:
        The area, None where there are no positives or no negatives.
    """
    positives = sum(labels)
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    order = sorted(range(len(scores)), key=lambda k: scores[k])
    rank_sum, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        rank = (start + 1 + end) / 2  # the mean rank of equal scores
        rank_sum += rank * sum(1 for k in order[start:end] if labels[k])
        start = end
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
