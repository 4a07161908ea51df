"""Maps, sentence and modes of the Crayon Prompt."""

from __future__ import annotations

import pytest
import torch

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import ConfigError
from collavo.modeling.crayon.maps import crayon_maps
from collavo.modeling.crayon.prompt import MODES, make_crayon_prompt
from collavo.modeling.crayon.text import NO_OBJECTS
from collavo.records import Segment, Segments


def scene() -> Segments:
    """Two dogs and a sky on a 4 x 5 grid, with an empty cell."""
    ids = torch.tensor([[3, 3, 3, 3, 3], [1, 1, 3, 2, 2], [1, 1, 0, 2, 2], [1, 1, 0, 2, 2]])
    segments = (Segment(1, 16, 0.99), Segment(2, 16, 0.98), Segment(3, 119, 0.97))
    return Segments(ids.to(torch.int32), segments)


def test_maps_and_sentence():
    crayon = make_crayon_prompt([scene()], CLEAN_NAMES)
    assert crayon.semantic is not None and crayon.number is not None
    assert crayon.semantic.dtype == crayon.number.dtype == torch.int64
    assert crayon.semantic[0].tolist() == [
        [120, 120, 120, 120, 120],
        [17, 17, 120, 17, 17],
        [17, 17, 0, 17, 17],
        [17, 17, 0, 17, 17],
    ]
    assert crayon.number[0].tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 2, 2],
        [1, 1, 0, 2, 2],
        [1, 1, 0, 2, 2],
    ]
    assert crayon.text == [
        "The image includes (#1 dog) [0.00, 0.25, 0.40, 1.00], "
        "(#2 dog) [0.60, 0.25, 1.00, 1.00], (#1 sky) [0.00, 0.00, 1.00, 0.50]."
    ]


def test_an_image_without_objects():
    nothing = Segments(torch.zeros(4, 5, dtype=torch.int32), ())
    crayon = make_crayon_prompt([nothing, scene()], CLEAN_NAMES)
    assert crayon.semantic is not None and crayon.number is not None
    assert not crayon.semantic[0].any() and not crayon.number[0].any()
    assert crayon.text[0] == NO_OBJECTS == "None of detailed object information for image."
    assert crayon.semantic[1].any()


def test_minus_one_is_no_segment():
    nothing = Segments(torch.full((3, 3), -1, dtype=torch.int32), ())
    semantic, number, objects = crayon_maps(nothing, CLEAN_NAMES)
    assert not semantic.any() and not number.any() and not objects


def test_more_than_twenty_of_a_class():
    ids = torch.arange(1, 26, dtype=torch.int32).view(5, 5)
    many = Segments(ids, tuple(Segment(n, 47) for n in range(1, 26)))
    crayon = make_crayon_prompt([many], CLEAN_NAMES)
    assert crayon.number is not None
    assert crayon.number.flatten().tolist() == [*range(1, 21), 20, 20, 20, 20, 20]
    text = crayon.text[0]
    assert text is not None
    assert "(#25 apple) [0.80, 0.80, 1.00, 1.00]." in text
    assert text.count("apple") == 25


def test_a_segment_without_cells_is_not_counted():
    whole = scene()
    ids = whole.ids.clone()
    ids[ids == 1] = 0
    crayon = make_crayon_prompt([Segments(ids, whole.segments)], CLEAN_NAMES)
    assert crayon.text[0] == (
        "The image includes (#1 dog) [0.60, 0.25, 1.00, 1.00], (#1 sky) [0.00, 0.00, 1.00, 0.50]."
    )


def test_segments_in_any_order_and_with_any_ids():
    ids = torch.tensor([[900, 5], [900, 5]], dtype=torch.int32)
    crayon = make_crayon_prompt([Segments(ids, (Segment(900, 0), Segment(5, 0)))], CLEAN_NAMES)
    assert crayon.number is not None
    assert crayon.number[0].tolist() == [[2, 1], [2, 1]]
    text = crayon.text[0]
    assert text is not None and text.startswith("The image includes (#1 person) [0.50, 0.00,")


@pytest.mark.parametrize(
    ("mode", "maps", "numbers", "text"),
    [
        ("full", True, True, "(#1 dog)"),
        ("map_only", True, True, None),
        ("text_only", False, False, "(#1 dog)"),
        ("semantic_only", True, False, "(dog)"),
        ("none", False, False, None),
    ],
)
def test_modes(mode, maps, numbers, text):
    crayon = make_crayon_prompt([scene()], CLEAN_NAMES, mode)
    assert (crayon.semantic is not None) is maps
    assert (crayon.number is not None) is maps
    if maps:
        assert crayon.semantic is not None and crayon.number is not None
        assert crayon.semantic.any()
        assert bool(crayon.number.any()) is numbers
    if text is None:
        assert crayon.text == [None]
    else:
        assert text in str(crayon.text[0])
        assert ("#" in str(crayon.text[0])) is (mode != "semantic_only")


def test_an_unknown_mode():
    with pytest.raises(ConfigError, match=f"CRAYON.MODE is 'maps'.*{', '.join(MODES)}"):
        make_crayon_prompt([scene()], CLEAN_NAMES, "maps")


def test_a_class_without_name():
    odd = Segments(torch.ones(2, 2, dtype=torch.int32), (Segment(1, 133),))
    with pytest.raises(ConfigError, match="class 133.*133 classes"):
        make_crayon_prompt([odd], CLEAN_NAMES)
