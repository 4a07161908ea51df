"""TextVQA: questions about text in images (Singh et al., 2019, arXiv:1904.08920)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("textvqa", "TextVQAPipeline", "CoLLaVOTextVQAPipeline")
class TextVQAPipeline(Pipeline):
    """TextVQA: the question, the OCR tokens where the files have them, and the suffix.

    The style "collavo" ends with the suffix twice, as LLaVA's list ends with it and the original
    adds it again; "llava" has it once; "clean" leaves the OCR tokens out.
    Source: ByungKwanLee/CoLLaVO TextVQAPipeline.py; haotian-liu/LLaVA docs/Evaluation.md.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        if self.style == "clean":
            return sample.question + SHORT_ANSWER
        return self._llava(sample) + (SHORT_ANSWER if self.style == "collavo" else "")

    def _llava(self, sample: Sample) -> str:
        """The prompt as LLaVA's list has it, or would have it."""
        if "llava_text" in sample.extra:
            return sample.extra["llava_text"]
        if "ocr_tokens" not in sample.extra:
            return sample.question + SHORT_ANSWER
        tokens = ", ".join(sample.extra["ocr_tokens"])
        return f"{sample.question.capitalize()}\nReference OCR token: {tokens}{SHORT_ANSWER}"
