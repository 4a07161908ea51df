"""LLaVA-Bench in the wild: open questions on 24 images (Liu et al., 2023, arXiv:2304.08485)."""

from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("llavabench", "LLaVABenchPipeline", "CoLLaVOLLaVABenchPipeline")
class LLaVABenchPipeline(Pipeline):
    """LLaVA-Bench: the question alone, in every style.

    Source: haotian-liu/LLaVA scripts/v1_5/eval/llavabench.sh.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question
