"""OK-VQA: questions that need outside knowledge (Marino et al., 2019, arXiv:1906.00067)."""

from collavo.pipeline.vqav2 import VQAv2Pipeline
from collavo.registry import PIPELINES


@PIPELINES.register("okvqa", "OKVQAPipeline", "CoLLaVOOKVQAPipeline")
class OKVQAPipeline(VQAv2Pipeline):
    """OK-VQA: asks as VQAv2.

    lmms-eval asks as VizWiz, with the sentence about unanswerable questions.
    """
