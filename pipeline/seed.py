"""SEED-Bench: multiple choice about images (Li et al., 2023, arXiv:2307.16125)."""

from collavo.datasets.evaluation.choice import options_of
from collavo.pipeline.base import OPTION_LETTER, Pipeline
from collavo.pipeline.options import asked, listed
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("seed", "SEEDPipeline", "CoLLaVOSEEDPipeline")
class SEEDPipeline(Pipeline):
    """SEED-Bench: CoLLaVO puts all options on one line, LLaVA and "clean" each on its own.

    Source: ByungKwanLee/CoLLaVO SEEDPipeline.py; haotian-liu/LLaVA llava-seed-bench.jsonl.
    """

    answer_type = "choice"

    def prompt(self, sample: Sample) -> str:
        between = " " if self.style == "collavo" else "\n"
        options = listed(options_of(sample), between)
        if self.style == "collavo":
            options = options.strip()
        return f"{asked(sample)}\n{options}{OPTION_LETTER}"
