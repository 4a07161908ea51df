"""HallusionBench: yes/no questions on figures and without (Guan et al., 2024, arXiv:2310.14566)."""

from collavo.datasets.evaluation.answers import YES_OR_NO
from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register(
    "hallusionbench",
    "HallusionBenchPipeline",
    "HallusionPipeline",
    "CoLLaVOHallusionPipeline",
    "CoLLaVOHallusionBenchPipeline",
)
class HallusionBenchPipeline(Pipeline):
    """HallusionBench: the question alone; the style "clean" asks for yes or no.

    Source: ByungKwanLee/CoLLaVO HallusionBenchPipeline.py; tianyi-lab/HallusionBench README.
    """

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        if self.style == "clean":
            return f"{sample.question.rstrip()} {YES_OR_NO}"
        return sample.question
