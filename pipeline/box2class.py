"""Box2Class: which class is the object in a box? (CoLLaVO, arXiv:2402.11248, figure 2)."""

from collavo.pipeline.base import SHORT_ANSWER, Pipeline
from collavo.records import Sample
from collavo.registry import PIPELINES

FORMAT = (
    "Boxes are written [left, top, right, bottom], as fractions of the image's width and height.\n"
)


@PIPELINES.register("box2class", "b2c", "Box2ClassPipeline")
class Box2ClassPipeline(Pipeline):
    """Names a box as CoLLaVO writes boxes, in hundredths of the image, and asks what is in it.

    The paper does not print its question; this one is ours. "clean" says what the numbers mean.
    """

    answer_type = "text"

    def prompt(self, sample: Sample) -> str:
        before = FORMAT if self.style == "clean" else ""
        asked = sample.extra["asked"]
        return f"{before}What object is in the bounding box {asked}?{SHORT_ANSWER}"
