"""MMBench: multiple choice, in English and Chinese (Liu et al., 2023, arXiv:2307.06281)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, Pipeline
from collavo.pipeline.options import CN_OPTION_LETTER, is_chinese, listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("mmbench", "MMBenchPipeline", "CoLLaVOMMBenchPipeline")
class MMBenchPipeline(Pipeline):
    """MMBench: hint, question, options up to the first empty one, and the suffix of the language.

    The authors' readers take options that say "None" or "NA" for empty; "clean" lists them.
    Source: ByungKwanLee/CoLLaVO MMBenchPipeline.py, register_mmbench_datasets.py; LLaVA-1.5.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        hint = str(sample.extra.get("hint") or "")
        lines = [hint] if hint and not _is_none(hint) else []
        suffix = CN_OPTION_LETTER if is_chinese(sample) else OPTION_LETTER
        return "\n".join([*lines, sample.question, listed(self._options(sample))]) + suffix

    def _options(self, sample: Sample) -> dict[str, str]:
        options = options_of(sample)
        if self.style == "clean":
            return dict(sample.extra.get("written", options))
        kept = {}
        for letter in "ABCD":
            if letter not in options or _is_none(options[letter]):
                break
            kept[letter] = options[letter]
        return kept


def _is_none(text: str) -> bool:
    return text.lower() in ("nan", "none")
