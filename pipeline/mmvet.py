"""MM-Vet: open questions that need several abilities (Yu et al., 2023, arXiv:2308.02490)."""

from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("mm-vet", "mmvet", "MMVetPipeline", "CoLLaVOMMVetPipeline")
class MMVetPipeline(Pipeline):
    """MM-Vet: the question alone, in every style.

    Source: ByungKwanLee/CoLLaVO MMVetPipeline.py; haotian-liu/LLaVA scripts/v1_5/eval/mmvet.sh.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return sample.question
