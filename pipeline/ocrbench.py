"""OCRBench: questions about text in images (Liu et al., 2023, arXiv:2305.07895)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("ocrbench", "OCRBenchPipeline", "CoLLaVOOCRBenchPipeline")
class OCRBenchPipeline(Pipeline):
    """OCRBench: the question as it stands; with the short-answer suffix in the style "llava".

    Source: Yuliang-Liu/MultimodalOCR OCRBench/example.py and scripts/LLaVA1_5.py.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question + (SHORT_ANSWER if self.style == "llava" else "")
