"""The table of COCO panoptic classes."""

from __future__ import annotations

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC, CONTIGUOUS_ID


def test_the_table_has_the_official_ids() -> None:
    things = [c for c in COCO_PANOPTIC if c.isthing]
    stuff = [c for c in COCO_PANOPTIC if not c.isthing]
    assert (len(things), len(stuff)) == (80, 53)
    assert COCO_PANOPTIC == (*things, *stuff)
    absent = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert [c.id for c in things] == [k for k in range(1, 91) if k not in absent]
    ids = [c.id for c in stuff]
    assert ids == sorted(ids) and (ids[0], ids[-1]) == (92, 200)
    assert CONTIGUOUS_ID[200] == 132 and CONTIGUOUS_ID[1] == 0


def test_names_are_cleaned_as_the_prompt_writes_them() -> None:
    names = dict(zip((c.name for c in COCO_PANOPTIC), CLEAN_NAMES, strict=True))
    assert len(set(CLEAN_NAMES)) == 133
    assert names["sky-other-merged"] == "sky"
    assert names["wall-other-merged"] == "wall"
    assert names["door-stuff"] == "door"
    assert names["floor-wood"] == "floor-wood"
    assert names["window-blind"] == "window-blind"
    assert names["hot dog"] == "hot dog"
    assert not any(end in n for n in CLEAN_NAMES for end in ("-merged", "-other", "-stuff"))
