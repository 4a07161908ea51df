"""Answers without decoding: the likeliest of the allowed answers, with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collavo.engine.asking import Answer
from collavo.engine.prepare import Row
from collavo.errors import ConfigError
from collavo.modeling.architectures.base import Architecture
from collavo.records import Sample
from collavo.results.ranking import YES_NO

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import ImageContext
    from collavo.pipeline.base import Pipeline


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
        if type(architecture).score_options is Architecture.score_options:
            raise ConfigError(
                f"EVAL.SCORING likelihood: {type(architecture).__name__} cannot score given "
                "answers; set EVAL.SCORING generate"
            )
        self._architecture = architecture
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
