"""MMMU: college exams, multiple choice and open (Yue et al., 2023, arXiv:2311.16502)."""

import re

from collavo.datasets.evaluation.choice import options_of
from collavo.datasets.evaluation.mmmu import is_open
from collavo.pipeline.base import OPTION_LETTER, SHORT_ANSWER, Pipeline
from collavo.pipeline.options import asked, listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("mmmu", "MMMUPipeline", "CoLLaVOMMMUPipeline")
class MMMUPipeline(Pipeline):
    """MMMU as its authors ask LLaVA-1.5: options "(A) ...", a blank line, the suffix.

    Places of images stay in the text as "<image 1>"; only the first image is shown. The style
    "clean" lists "A. ..." without the blank line and words the places as "(image 1)".
    Source: MMMU-Benchmark/MMMU, mmmu/configs/llava1.5.yaml as YAML reads it, data_utils.py.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        question = asked(sample)
        options = "" if is_open(sample) else listed(options_of(sample), form="({}) {}")
        if self.style == "clean":
            options = "" if is_open(sample) else listed(options_of(sample))
            question, options = (
                re.sub(r"<image (\d+)>", r"(image \1)", x) for x in (question, options)
            )
            return f"{question}\n{options}{OPTION_LETTER}" if options else question + SHORT_ANSWER
        return f"{question}\n{options}\n{OPTION_LETTER}" if options else question + SHORT_ANSWER
