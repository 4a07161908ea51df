"""GQA: compositional questions about real images (Hudson and Manning, 2019, arXiv:1902.09506)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("gqa", "GQAPipeline", "CoLLaVOGQAPipeline")
class GQAPipeline(Pipeline):
    """GQA: the question and the short-answer suffix, which is the prompt in every style.

    Source: ByungKwanLee/CoLLaVO GQAPipeline.py; haotian-liu/LLaVA docs/Evaluation.md.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question + SHORT_ANSWER
