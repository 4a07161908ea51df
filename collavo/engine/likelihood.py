"""Answers without decoding: the likeliest of the allowed answers, with its probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from collavo.engine.asking import Answer
from collavo.engine.prepare import Row
from collavo.errors import ConfigError
from collavo.records import Sample

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Architecture, ImageContext
    from collavo.pipeline.base import Pipeline

YES_NO = ("Yes", "No")


class OptionScorer:
    """Picks for each question the allowed answer with the highest log-probability.

    Args:
        architecture: A model with `score_options`.
        pipeline: Says what kind of answers is asked for.

    Raises:
        ConfigError: The model or the kind of answers does not allow it.
    """

    def __init__(self, architecture: Architecture, pipeline: Pipeline) -> None:
        if pipeline.answer_type not in ("yes_no", "choice"):
            raise ConfigError(
                f"EVAL.SCORING likelihood needs yes/no or multiple-choice questions; this pipeline "
                f"asks for answers of the kind {pipeline.answer_type!r}: set EVAL.SCORING generate"
            )
        if not hasattr(architecture, "score_options"):
            raise ConfigError(
                f"EVAL.SCORING likelihood: {type(architecture).__name__} cannot score given "
                "answers; set EVAL.SCORING generate"
            )
        self._architecture: Any = architecture
        self._yes_no = pipeline.answer_type == "yes_no"

    def __call__(self, rows: Sequence[Row], contexts: Sequence[ImageContext]) -> list[Answer]:
        """Answers rows over encoded images.

        Returns:
            For each row the chosen answer, and "options": answer -> sum of log-probabilities.
        """
        named = [self.options(row.sample) for row in rows]
        tokens = [
            [self._tokens(row, option) for option in options]
            for row, options in zip(rows, named, strict=True)
        ]
        scored = self._architecture.score_options(
            contexts, [r.suffix for r in rows], [r.owner for r in rows], tokens
        )
        answers: list[Answer] = []
        for options, figures in zip(named, scored, strict=True):
            sums = {o: total for o, (total, _) in zip(options, figures, strict=True)}
            answers.append((max(sums, key=lambda o: sums[o]), {"options": sums}))
        return answers

    def options(self, sample: Sample) -> tuple[str, ...]:
        """Returns the allowed answers of a question: Yes and No, or the letters of its options."""
        if self._yes_no:
            return YES_NO
        if not sample.options:
            raise ConfigError(
                f"EVAL.SCORING likelihood: sample {sample.sample_id} has no options to choose from"
            )
        return tuple(chr(ord("A") + k) for k in range(len(sample.options)))

    def _tokens(self, row: Row, option: str) -> list[int]:
        """Returns the tokens by which an answer goes on after the prompt."""
        whole = self._architecture.tokenize(row.prompt + option)
        count = len(row.tokens)
        if tuple(whole[:count]) == row.tokens and len(whole) > count:
            return list(whole[count:])
        bare = self._architecture.tokenize(option)
        return list(bare[len(self._architecture.tokenize("")) :])


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
