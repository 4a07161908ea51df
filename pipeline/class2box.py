"""Class2Box: where is an object of a class? The way back of Box2Class (arXiv:2402.11248)."""

from collavo.pipeline.base import Pipeline
from collavo.pipeline.refcoco import ASK, FORMAT
from collavo.records import Sample
from collavo.registry import PIPELINES


@PIPELINES.register("class2box", "Class2BoxPipeline")
class Class2BoxPipeline(Pipeline):
    """Asks for the box of a class, in the words that RefCOCO's sentences are asked in.

    CoLLaVO trains on boxes of a chosen class (figure 5c) and prints no such question; this is ours.
    """

    answer_type = "box"

    def prompt(self, sample: Sample) -> str:
        return (FORMAT if self.style == "clean" else "") + ASK + sample.question
