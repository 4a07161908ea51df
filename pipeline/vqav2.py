"""VQAv2: short questions about COCO images (Goyal et al., 2017, arXiv:1612.00837)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("vqav2", "VQAv2Pipeline", "CoLLaVOVQAv2Pipeline")
class VQAv2Pipeline(Pipeline):
    """VQAv2: the question and the short-answer suffix, which is the prompt in every style.

    Source: haotian-liu/LLaVA docs/Evaluation.md.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question + SHORT_ANSWER
