"""ChartQA: questions about charts (Masry et al., 2022, arXiv:2203.10244)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("chartqa", "ChartQAPipeline", "CoLLaVOChartQAPipeline")
class ChartQAPipeline(Pipeline):
    """ChartQA: the question and the short-answer suffix, which is the prompt in every style.

    Source: ByungKwanLee/CoLLaVO ChartQAPipeline.py.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question + SHORT_ANSWER
