"""Pipelines of datasets that come without code: yes/no, multiple choice, short and free answers."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, SHORT_ANSWER, Pipeline
from collavo.pipeline.options import CN_OPTION_LETTER, listed
from collavo.records import Sample
from collavo.registry import PIPELINES

OPTION_LETTERS = "\nAnswer with the letters of all correct options from the given choices directly."
CN_OPTION_LETTERS = "\n请直接回答所有正确选项的字母。"
"""Ours: LLaVA-1.5's suffix, asking for several letters."""


def _with_hint(sample: Sample) -> str:
    hint = str(sample.extra.get("hint") or "")
    return f"{hint}\n{sample.question}" if hint and hint.lower() != "nan" else sample.question


@PIPELINES.register("yes_no")
class YesNoPipeline(Pipeline):
    """Yes or no: the question and the short-answer suffix, as LLaVA-1.5 asks POPE."""

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        return _with_hint(sample) + SHORT_ANSWER


@PIPELINES.register("choice", "multiple_choice")
class ChoicePipeline(Pipeline):
    """Multiple choice: hint, question, options and the suffix, as LLaVA-1.5 asks MMBench."""

    answer_type = "choice"
    suffixes = (OPTION_LETTER, CN_OPTION_LETTER)

    def prompt(self, sample: Sample) -> str:
        options = options_of(sample)
        if not options:
            return _with_hint(sample) + SHORT_ANSWER
        text = f"{_with_hint(sample)}\n{listed(options)}"
        return text + self.suffixes[any("\u4e00" <= letter <= "\u9fff" for letter in text)]


@PIPELINES.register("multi_choice")
class MultiChoicePipeline(ChoicePipeline):
    """Multiple choice with several right options: asks for the letters of all of them."""

    suffixes = (OPTION_LETTERS, CN_OPTION_LETTERS)


@PIPELINES.register("short_answer", "vqa")
class ShortAnswerPipeline(Pipeline):
    """A word or phrase: the question and the short-answer suffix, as LLaVA-1.5 asks VQAv2."""

    def prompt(self, sample: Sample) -> str:
        return _with_hint(sample) + SHORT_ANSWER


@PIPELINES.register("open")
class OpenPipeline(Pipeline):
    """The question alone, for answers of any length."""

    def prompt(self, sample: Sample) -> str:
        return _with_hint(sample)
