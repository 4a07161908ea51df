"""How prompts list the options of a multiple-choice question."""

from __future__ import annotations

from collections.abc import Mapping

from collavo.errors import DataError
from collavo.records import Sample

CN_OPTION_LETTER = "\n请直接回答选项字母。"
"""LLaVA-1.5's multiple-choice suffix for MMBench-CN (haotian-liu/LLaVA, model_vqa_mmbench.py)."""


def is_chinese(sample: Sample) -> bool:
    """Whether the question is of a Chinese split: its dataset's name says so, as in CoLLaVO."""
    return "cn" in sample.sample_id.partition(":")[0].split("_")


def asked(sample: Sample) -> str:
    """Returns the question of a sample.

    Raises:
        DataError: It has none: its file holds labels alone, to score answers with.
    """
    if not sample.question:
        raise DataError(
            f"sample {sample.sample_id!r} has no question: its file holds labels alone, which "
            "serve to score answers; to ask a model, put the benchmark's question file there"
        )
    return sample.question


def four(options: Mapping[str, str]) -> dict[str, str]:
    """The first four options: the originals list A to D and drop the rest."""
    return dict(list(options.items())[:4])


def listed(options: Mapping[str, str], between: str = "\n", form: str = "{}. {}") -> str:
    """Lists options with their letters.

    Args:
        options: Texts by letter, in order.
        between: What stands between two.
        form: How letter and text are written.
    """
    return between.join(form.format(letter, text) for letter, text in options.items())
