"""RefCOCO, RefCOCO+ and RefCOCOg: the box of what a sentence refers to."""

from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES

ASK = "Please provide the bounding box coordinate of the region this sentence describes: "
"""LLaVA-1.5's words (haotian-liu/LLaVA, its instruction data; ConvLLaVA's evaluate_grounding)."""

FORMAT = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, "
    "bottom-right y). All values are floating point numbers bounded between 0 and 1. "
)
"""What lmms-eval puts before it (lmms_eval/tasks/refcoco/utils_rec.py)."""


@PIPELINES.register("refcoco", "RefCOCOPipeline", "CoLLaVORefCOCOPipeline", "rec")
class RefCOCOPipeline(Pipeline):
    """Referring expressions: asks for the box of a sentence, as LLaVA does in training.

    The style "clean" says the format of the box first, as lmms-eval does. How CoLLaVO was asked
    is not published.
    """

    answer_type = "box"

    def prompt(self, sample: Sample) -> str:
        return (FORMAT if self.style == "clean" else "") + ASK + sample.question
