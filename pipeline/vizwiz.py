"""VizWiz-VQA: questions that blind people asked of their photos (arXiv:1802.08218)."""

from collavo.datasets.registration.vizwiz import UNANSWERABLE
from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("vizwiz", "VizWizPipeline", "CoLLaVOVizWizPipeline")
class VizWizPipeline(Pipeline):
    """VizWiz: the question, the sentence about unanswerable ones, the short-answer suffix.

    Source: haotian-liu/LLaVA docs/Evaluation.md and its llava_test.jsonl.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return f"{sample.question}\n{UNANSWERABLE}{SHORT_ANSWER}"
