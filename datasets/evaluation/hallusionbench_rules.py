"""How HallusionBench's answers are read where no language model judges them."""

from __future__ import annotations

import re
from typing import ClassVar

from collavo.datasets.evaluation.parsing import Parser
from collavo.datasets.evaluation.yes_no_parsers import VlmEvalKitPope
from collavo.registry import PARSERS

_WORD = re.compile(r"\b(yes|no)\b")


class HallusionBenchParser(Parser):
    """Reads "yes", "no", or "other"; says over which questions its toolkit counts, and how."""

    with_figures_only: ClassVar[bool] = True
    """Whether the questions without a figure are left out."""
    official: ClassVar[bool] = False
    """Whether figures are made as the authors make them: an unclear answer to a question without
    a figure is right there."""
    merged: ClassVar[bool] = False
    """Whether groups leave out the category, so that the two named "ocr" become one."""


@PARSERS.register("hallusionbench.yes_no")
class YesNoHallusionBench(HallusionBenchParser):
    """The first word yes or no decides, in any case; without either the answer is unclear.

    A rule of ours for runs without a judge, with the authors' figures over all 1,129 questions.
    """

    with_figures_only = False
    official = True

    def parse(self, text: str) -> str:
        found = _WORD.search(text.lower())
        return found[1] if found else "other"


@PARSERS.register("hallusionbench.collavo", "hallusionbench.lmms_eval_intern")
class CoLLaVOHallusionBench(HallusionBenchParser):
    """CoLLaVO's: yes where the answer holds the letters "yes", in any case; else no.

    Over the 951 questions with a figure. CoLLaVO prints aAcc; qAcc and fAcc are those of
    lmms-eval's `_intern` functions, which read alike (as fractions there).
    Source: ByungKwanLee/CoLLaVO hallusionbench_evaluation.py; lmms_eval/tasks/hallusion_bench.
    """

    def parse(self, text: str) -> str:
        return "yes" if "yes" in text.lower() else "no"


@PARSERS.register("hallusionbench.vlmevalkit")
class VlmEvalKitHallusionBench(HallusionBenchParser):
    """VLMEvalKit's: the answer holds exactly one of the words yes and no, else it is wrong.

    Over the 951 questions with a figure. Source: open-compass/VLMEvalKit, YOrN_Extraction without
    a judge, Hallusion_rating.
    """

    merged = True

    def parse(self, text: str) -> str:
        return VlmEvalKitPope().parse(text)
