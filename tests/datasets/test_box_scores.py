"""Boxes: how each toolkit reads them, and the figures over them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.evaluation.box_iou import BoxIouEvaluator
from collavo.datasets.evaluation.box_rules import BoxRule, iou
from collavo.datasets.evaluation.parsing import parser_of
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

WIDE = {"box": (0.25, 0.5, 0.5, 1.0), "width": 400, "height": 200}


def _sample(key: str = "a", image: ImageRef | None = None, **extra: Any) -> Sample:
    return Sample(key, one_image(image), "left dog", key, extra=extra or WIDE)


def _rule(name: str) -> BoxRule:
    rule = parser_of("box_iou", name)
    assert isinstance(rule, BoxRule)
    return rule


@pytest.mark.parametrize(
    ("rule", "text", "box"),
    [
        ("official", "[0.25, 0.5, 0.5, 1]", (0.25, 0.5, 0.5, 1)),
        ("official", "first [0,0,.5,1] then [ 0.1,0.2, 0.3,0.4 ]", (0.1, 0.2, 0.3, 0.4)),
        ("official", "[-0.1, 0, 1, 1]", (-0.1, 0, 1, 1)),
        ("official", "[0.1, 0.2, 0.3]", (0, 0, 0, 0)),
        ("official", "[[0.1, 0.2, 0.3, 0.4]]", (0.1, 0.2, 0.3, 0.4)),
        ("official", "0.1, 0.2, 0.3, 0.4", (0, 0, 0, 0)),
        ("official", "", (0, 0, 0, 0)),
        ("pixels", "[100, 100, 200, 200]", (0.25, 0.5, 0.5, 1)),
        ("thousand", "[250, 500, 500, 1000]", (0.25, 0.5, 0.5, 1)),
        ("padded", "[0.25, 0.5, 0.5, 0.75]", (0.25, 0.5, 0.5, 1)),
        ("qwen", "<box>(0,999),(999,999)</box>", (0, 1, 1, 1)),
        ("qwen", "(1,2),(3)", (0, 0, 0, 0)),
        ("qwen", "(1,2,3),(4,5)", (0, 0, 0, 0)),
        ("qwen", "(a,b),(c,d)", (0, 0, 0, 0)),
        ("vlmevalkit", "from 250 500 to 500 1000", (0.25, 0.5, 0.5, 1)),
        ("vlmevalkit", "[.25 .5 .5 1e0]", (0.25, 0.5, 0.5, 1)),
        ("vlmevalkit", "[0.5, 1, 0.25, 0.5]", (0.25, 0.5, 0.5, 1)),
        ("vlmevalkit", "[100, 100, 200, 2000]", (0.25, 0.5, 0.5, 1)),
        ("vlmevalkit", "none", (0, 0, 0, 0)),
    ],
)
def test_how_boxes_are_read(rule: str, text: str, box: tuple[float, ...]) -> None:
    assert _rule(rule).box(text, _sample()) == pytest.approx(box)


@pytest.mark.parametrize("rule", ["official", "pixels", "thousand", "padded", "qwen", "vlmevalkit"])
def test_the_true_box_overlaps_itself(rule: str) -> None:
    text = {
        "official": "[0.25, 0.5, 0.5, 1.0]",
        "pixels": "[100, 100, 200, 200]",
        "thousand": "[250, 500, 500, 1000]",
        "padded": "[0.25, 0.5, 0.5, 0.75]",
        "qwen": "(249.75,499.5),(499.5,999)",
        "vlmevalkit": "[0.25, 0.5, 0.5, 1.0]",
    }[rule]
    assert _rule(rule).iou(text, _sample()) == pytest.approx(1, abs=1e-5)
    assert _rule(rule).iou("no idea", _sample()) == 0


def test_iou_of_odd_boxes() -> None:
    assert iou((0, 0, 1, 1), (0, 0, 0, 0)) == 0
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert iou((0, 0, 1, 1), (1, 1, 0, 0)) == 0
    assert iou((0, 0, 1, 1), (0.5, 0, 1.5, 1)) == pytest.approx(1 / 3)


def test_figures_over_boxes() -> None:
    samples = [_sample("a"), _sample("b"), _sample("c", box=(0, 0, 1, 1), width=4, height=4)]
    answers = {"a": "[0.25, 0.5, 0.5, 1.0]", "b": "[0.25, 0.5, 0.375, 1.0]", "c": "none"}
    found = BoxIouEvaluator().evaluate(samples, answers)
    assert found.headline == {
        "acc@0.5": pytest.approx(200 / 3),
        "mean_iou": pytest.approx(1.5 / 3),
    }
    assert found.units == dict.fromkeys(found.units, "percent") | {"mean_iou": "fraction"}
    assert found.scores["acc@0.7"] == pytest.approx(100 / 3)
    # as in lmms-eval, no box is a box at (0, 0), which the box of c holds
    assert found.scores["centre"] == 100
    assert [found.per_sample[key].correct for key in "abc"] == [True, True, False]
    assert found.scores["parsers"]["qwen"]["acc@0.5"] == 0


def test_the_size_of_an_image_is_read_where_it_is_needed() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20)).save(buffer, format="PNG")
    ref = ImageRef(data=buffer.getvalue(), name="x.png")
    sample = _sample("a", ref, box_pixels=(10, 10, 20, 20))
    assert _rule("official").iou("[0.25, 0.5, 0.5, 1.0]", sample) == 1
    broken = _sample("b", ImageRef(data=b"no image", name="y.png"), box_pixels=(1, 1, 2, 2))
    with pytest.raises(DataError, match="y.png"):
        _rule("official").iou("[0, 0, 1, 1]", broken)
    with pytest.raises(DataError, match="width and height"):
        _rule("official").iou("[0, 0, 1, 1]", _sample("c", None, box_pixels=(1, 1, 2, 2)))
