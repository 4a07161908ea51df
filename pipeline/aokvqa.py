"""A-OKVQA: knowledge of the world, to choose or to answer (Schwenk et al., arXiv:2206.01718)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, SHORT_ANSWER, Pipeline
from collavo.pipeline.options import listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("aokvqa", "AOKVQAPipeline")
class AOKVQAPipeline(Pipeline):
    """A-OKVQA, multiple choice: question, options and LLaVA-1.5's suffix, in every style."""

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        return f"{sample.question}\n{listed(options_of(sample))}{OPTION_LETTER}"


@PIPELINES.register("aokvqa_direct", "AOKVQADirectPipeline")
class AOKVQADirectPipeline(Pipeline):
    """A-OKVQA, direct answers: question and LLaVA-1.5's short-answer suffix, in every style."""

    def prompt(self, sample: Sample) -> str:
        return sample.question + SHORT_ANSWER
