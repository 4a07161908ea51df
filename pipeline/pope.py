"""POPE: yes/no questions about one object each (Li et al., 2023, arXiv:2305.10355)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("pope", "POPEPipeline", "CoLLaVOPOPEPipeline")
class POPEPipeline(Pipeline):
    """POPE: the question and the short-answer suffix, which is the prompt in every style.

    Source: ByungKwanLee/CoLLaVO POPEPipeline.py; haotian-liu/LLaVA docs/Evaluation.md.
    """

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        return sample.question + SHORT_ANSWER
