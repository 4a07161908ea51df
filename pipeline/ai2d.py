"""AI2D: multiple choice about diagrams (Kembhavi et al., 2016, arXiv:1603.07396)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, Pipeline
from collavo.pipeline.options import four, listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("ai2d", "AI2DPipeline", "CoLLaVOAI2DPipeline")
class AI2DPipeline(Pipeline):
    """AI2D: the question, at most four options, and the suffix; CoLLaVO leaves a line blank.

    "llava" is what lmms-eval and InternVL ask, without the blank line; "clean" is the same.
    Source: ByungKwanLee/CoLLaVO AI2DPipeline.py; lmms_eval/tasks/ai2d.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        if self.style == "collavo":
            return f"{sample.question}\n{listed(four(options_of(sample)))}\n{OPTION_LETTER}"
        return f"{sample.question}\n{listed(options_of(sample))}{OPTION_LETTER}"
