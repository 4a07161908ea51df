"""ScienceQA: multiple choice with context, image or neither (Lu et al., 2022, arXiv:2209.09513)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, Pipeline
from collavo.pipeline.options import listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("scienceqa", "sqa", "SQAPipeline", "CoLLaVOSQAPipeline", "ScienceQAPipeline")
class ScienceQAPipeline(Pipeline):
    r"""ScienceQA: "Context: ...", the question, lettered options, and the suffix.

    CoLLaVO only takes "<image>" out of LLaVA's text, so that a line end leads; "llava" and "clean"
    begin with the context. Source: ByungKwanLee/CoLLaVO SQAPipeline.py; llava_test_CQM-A.json.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        said = str(sample.extra.get("text") or _worded(sample)).replace("<image>", "")
        return (said if self.style == "collavo" else said.strip()) + OPTION_LETTER


def _worded(sample: Sample) -> str:
    """The question as LLaVA's list words it."""
    image = "<image>\n" if sample.extra.get("has_image") else ""
    context = f"Context: {sample.extra['hint']}\n" if sample.extra.get("hint") else ""
    return f"{image}{context}{sample.question}\n{listed(options_of(sample))}"
