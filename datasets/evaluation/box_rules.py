"""How toolkits read a box from an answer; boxes are (x1, y1, x2, y2) in [0, 1] of the image."""

from __future__ import annotations

import io
import re
from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar

from collavo.datasets.evaluation.parsing import Parser
from collavo.errors import DataError
from collavo.records import ImageRef, Sample
from collavo.registry import PARSERS

Box = tuple[float, float, float, float]

NO_BOX: Box = (0.0, 0.0, 0.0, 0.0)
"""What stands for an answer without a box, as in lmms-eval."""

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_FIRST_LIST = re.compile(rf"\[\s*{_NUMBER},\s*{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}\s*\]")
_ANY = r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"
_ANY_NUMBER = re.compile(_ANY)
_ANY_LIST = re.compile(r"\[\s*" + r"(?:\s*,\s*|\s+)".join([_ANY] * 4) + r"\s*\]")
_POINTS = re.compile(r"\((.*?)\),\((.*?)\)")


class BoxRule(Parser):
    """Reads the box that an answer gives."""

    def parse(self, text: str) -> str:
        match = _FIRST_LIST.search(text)
        return match[0] if match else ""

    @abstractmethod
    def box(self, text: str, sample: Sample) -> Box:
        """Returns the box in [0, 1] of the image, `NO_BOX` where the text gives none."""

    def iou(self, text: str, sample: Sample) -> float:
        """Returns the intersection over union of the box in `text` with the sample's."""
        return iou(true_box(sample), self.box(text, sample))


class _Listed(BoxRule):
    """The first `[x1, y1, x2, y2]` of the answer."""

    def box(self, text: str, sample: Sample) -> Box:
        match = _FIRST_LIST.search(text)
        if match is None:
            return NO_BOX
        x1, y1, x2, y2 = (float(number) for number in match.groups())
        return self.relative((x1, y1, x2, y2), sample)

    def relative(self, box: Box, sample: Sample) -> Box:
        """Turns the numbers of the answer into a box in [0, 1] of the image."""
        return box


@PARSERS.register("box_iou.official", "box_iou.lmms_eval", "box_iou.shikra")
class Official(_Listed):
    """The first `[x1, y1, x2, y2]` of the answer, in [0, 1] of the image.

    Source: lmms-eval refcoco/utils_rec.py; CoLLaVO's and Shikra's boxes are written so.
    """


@PARSERS.register("box_iou.pixels")
class Pixels(_Listed):
    """The first `[x1, y1, x2, y2]` of the answer, in pixels of the image."""

    def relative(self, box: Box, sample: Sample) -> Box:
        width, height = size_of(sample)
        return box[0] / width, box[1] / height, box[2] / width, box[3] / height


@PARSERS.register("box_iou.thousand")
class Thousand(_Listed):
    """The first `[x1, y1, x2, y2]` of the answer, in thousandths of the image."""

    def relative(self, box: Box, sample: Sample) -> Box:
        return box[0] / 1000, box[1] / 1000, box[2] / 1000, box[3] / 1000


@PARSERS.register("box_iou.padded", "box_iou.llava", "box_iou.convllava")
class Padded(_Listed):
    """The first `[x1, y1, x2, y2]` of the answer, in [0, 1] of the image padded to a square.

    The image stands in the middle, as LLaVA's expand2square puts it.
    """

    def relative(self, box: Box, sample: Sample) -> Box:
        width, height = size_of(sample)
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        return (
            (box[0] * side - left) / width,
            (box[1] * side - top) / height,
            (box[2] * side - left) / width,
            (box[3] * side - top) / height,
        )


@PARSERS.register("box_iou.qwen")
class Qwen(BoxRule):
    """Qwen-VL: the first `(x1,y1),(x2,y2)` of the answer, in 999ths of the image.

    Compared in pixels and single precision. Source: QwenLM/Qwen-VL evaluate_grounding.py.
    """

    scale: ClassVar[int] = 999

    def parse(self, text: str) -> str:
        match = _POINTS.search(text)
        return match[0] if match else ""

    def points(self, text: str) -> Box:
        """Returns the numbers of the answer; zeros where they cannot be read."""
        match = _POINTS.search(text)
        if match is None:
            return NO_BOX
        try:
            (x1, y1), (x2, y2) = ([float(n) for n in group.split(",")] for group in match.groups())
        except ValueError:
            return NO_BOX
        return x1, y1, x2, y2

    def box(self, text: str, sample: Sample) -> Box:
        x1, y1, x2, y2 = (number / self.scale for number in self.points(text))
        return x1, y1, x2, y2

    def iou(self, text: str, sample: Sample) -> float:
        import numpy as np

        size = np.array([*size_of(sample)] * 2, dtype=np.float32)
        given = np.array(self.points(text), dtype=np.float32) / np.float32(self.scale) * size
        truth = np.array(pixel_box(sample), dtype=np.float32)
        sides = np.minimum(given[2:], truth[2:]) - np.maximum(given[:2], truth[:2])
        with np.errstate(all="ignore"):
            shared = np.clip(sides, 0, None).prod(dtype=np.float32)
            areas = (given[2:] - given[:2]).prod() + (truth[2:] - truth[:2]).prod()
            found = float(shared / (areas - shared))
        return found if found == found else 0.0


@PARSERS.register("box_iou.vlmevalkit")
class VlmEvalKit(BoxRule):
    """VLMEvalKit: four numbers in brackets, else the first four; the largest tells their scale.

    Up to 1.5 they are shares of the image, up to 1000 thousandths, above pixels. Then they are
    clipped to the image and put in order. Source: open-compass/VLMEvalKit dataset/refcoco.py.
    """

    def parse(self, text: str) -> str:
        found = self._numbers(text)
        return ", ".join(f"{number:g}" for number in found) if found else ""

    def _numbers(self, text: str) -> list[float] | None:
        match = _ANY_LIST.search(text)
        found = match.groups() if match else _ANY_NUMBER.findall(text)[:4]
        return [float(number) for number in found] if len(found) == 4 else None

    def pixels(self, text: str, sample: Sample) -> Box | None:
        """Returns the box in pixels."""
        found = self._numbers(text)
        if found is None:
            return None
        sides = [*size_of(sample)] * 2
        largest = max(abs(number) for number in found)
        if largest <= 1000:
            per = 1.0 if largest <= 1.5 else 1000.0
            found = [number / per * side for number, side in zip(found, sides, strict=True)]
        x1, y1, x2, y2 = (min(max(n, 0.0), s) for n, s in zip(found, sides, strict=True))
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def box(self, text: str, sample: Sample) -> Box:
        width, height = size_of(sample)
        x1, y1, x2, y2 = self.pixels(text, sample) or NO_BOX
        return x1 / width, y1 / height, x2 / width, y2 / height

    def iou(self, text: str, sample: Sample) -> float:
        found = self.pixels(text, sample)
        return max(0.0, iou(pixel_box(sample), found)) if found else 0.0


def iou(first: Box, second: Box) -> float:
    """Intersection over union; 0 where both boxes are empty. Source: lmms-eval utils_rec.py."""
    width = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    shared = width * height
    union = _area(first) + _area(second) - shared
    return shared / union if union else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def centre_inside(outer: Box, inner: Box) -> bool:
    """Tells whether the centre of `inner` lies in `outer`."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def true_box(sample: Sample) -> Box:
    """Returns a sample's box in [0, 1] of the image."""
    if "box" in sample.extra:
        x1, y1, x2, y2 = sample.extra["box"]
        return x1, y1, x2, y2
    width, height = size_of(sample)
    x1, y1, x2, y2 = sample.extra["box_pixels"]
    return x1 / width, y1 / height, x2 / width, y2 / height


def pixel_box(sample: Sample) -> Box:
    """Returns a sample's box in pixels."""
    if "box_pixels" in sample.extra:
        x1, y1, x2, y2 = sample.extra["box_pixels"]
        return x1, y1, x2, y2
    width, height = size_of(sample)
    x1, y1, x2, y2 = sample.extra["box"]
    return x1 * width, y1 * height, x2 * width, y2 * height


def size_of(sample: Sample) -> tuple[int, int]:
    """Returns width and height of a sample's image: its own fields, else the image's header.

    Raises:
        DataError: It has neither the fields nor an image that can be read.
    """
    width, height = sample.extra.get("width"), sample.extra.get("height")
    if width and height:
        return int(width), int(height)
    if not sample.images:
        raise DataError(f"{sample.sample_id}: neither width and height nor an image are given")
    return _image_size(sample.images[0])


@lru_cache(maxsize=1 << 14)
def _image_size(image: ImageRef) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image.read())) as opened:
            return opened.size
    except (OSError, ValueError) as error:
        raise DataError(f"the size of image {image.label} cannot be read: {error}") from error
