"""MathVista: mathematics in visual contexts (Lu et al., 2024, arXiv:2310.02255)."""

from collavo.pipeline.base import Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("mathvista", "MathVistaPipeline", "CoLLaVOMathVistaPipeline")
class MathVistaPipeline(Pipeline):
    """MathVista: the authors' query (hint, question, choices), in every style.

    Source: ByungKwanLee/CoLLaVO MathVistaPipeline.py; lupantech/MathVista generate_response.py.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        return str(sample.extra["query"])
