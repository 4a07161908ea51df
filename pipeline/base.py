"""The contract of a pipeline: how a benchmark asks. Evaluators read the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from collavo.errors import ConfigError
from collavo.records import Sample

AnswerType = Literal["yes_no", "choice", "text", "box"]

SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
"""LLaVA-1.5's short-answer suffix (haotian-liu/LLaVA docs/Evaluation.md), which CoLLaVO keeps."""

OPTION_LETTER = "\nAnswer with the option's letter from the given choices directly."
"""LLaVA-1.5's multiple-choice suffix (haotian-liu/LLaVA docs/Evaluation.md)."""

STYLES = ("collavo", "llava", "clean")
"""Prompt styles: the original's bytes; LLaVA-1.5's; the benchmark's wording, one instruction."""


class Pipeline(ABC):
    """Words the question of a sample. It names no dataset and no model.

    Args:
        style: One of `STYLES`.
    """

    answer_type: ClassVar[AnswerType] = "text"
    """What kind of answers it asks for; a dataset of another kind refuses the pipeline."""

    def __init__(self, style: str = "collavo") -> None:
        if style not in STYLES:
            raise ConfigError(f"PROMPT.STYLE {style!r} is unknown; choose from {', '.join(STYLES)}")
        self.style = style

    @abstractmethod
    def prompt(self, sample: Sample) -> str:
        """Returns the question as the model is asked it, without chat template and crayon text."""
