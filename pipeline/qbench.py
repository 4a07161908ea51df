"""Q-Bench A1: multiple choice about the quality of images (Wu et al., 2023, arXiv:2309.14181)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, Pipeline
from collavo.pipeline.options import CN_OPTION_LETTER, four, is_chinese, listed
from collavo.records import Sample
from collavo.registry import PIPELINES

_CHOOSE = "\nChoose between one of the options as follows:\n"
_CHOOSE_CN = "\\在下列选项中选择一个:\n"


@PIPELINES.register("qbench", "QBenchPipeline", "CoLLaVOQBenchPipeline")
class QBenchPipeline(Pipeline):
    """Q-Bench: CoLLaVO leaves a line blank and asks in English also of Chinese questions.

    "llava" is the authors' "Choose between ..." (in Chinese behind a stray backslash and without a
    line end before it); "clean" adds the suffix of the question's language.
    Source: ByungKwanLee/CoLLaVO QBenchPipeline.py; haotian-liu/LLaVA@a7d634f model_vqa_qbench.py.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        chinese = is_chinese(sample)
        options = listed(four(options_of(sample)))
        if self.style == "collavo":
            return f"{sample.question}\n{options}\n{OPTION_LETTER}"
        if self.style == "llava":
            return f"{sample.question}{_CHOOSE_CN if chinese else _CHOOSE}{options}\n"
        suffix = CN_OPTION_LETTER if chinese else OPTION_LETTER
        return f"{sample.question}\n{listed(options_of(sample))}{suffix}"
