"""Class2Binary: is there an object of a class? (CoLLaVO, arXiv:2402.11248, figure 2)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("class2binary", "c2b", "Class2BinaryPipeline")
class Class2BinaryPipeline(Pipeline):
    """Asks whether an instance of the category is there, for yes or no.

    The paper asks "Is there an instance of the category ..."; the end of the sentence is ours, and
    the suffix is that of the other yes/no benchmarks. "clean" asks for yes or no instead.
    """

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        suffix = "\nAnswer yes or no." if self.style == "clean" else SHORT_ANSWER
        return f"Is there an instance of the category {sample.question} in the image?{suffix}"
