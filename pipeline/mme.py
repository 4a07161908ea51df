"""MME: yes/no questions in 14 tasks, two an image (Fu et al., 2023, arXiv:2306.13394)."""

from collavo.datasets.evaluation.answers import YES_OR_NO, without_suffix
from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("mme", "MMEPipeline", "CoLLaVOMMEPipeline")
class MMEPipeline(Pipeline):
    """MME: the question with the short-answer suffix in place of its "Please answer yes or no.".

    The style "clean" asks as the benchmark's files do.
    Source: ByungKwanLee/CoLLaVO MMEPipeline.py and its llava_mme.json.
    """

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        if self.style == "clean":
            return sample.question
        return without_suffix(sample.question, (YES_OR_NO,)) + SHORT_ANSWER
