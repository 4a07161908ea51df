"""OK-VQA: questions that need outside knowledge (Marino et al., 2019, arXiv:1906.00067).

Layouts under `<root>/OK-VQA`: the authors' question and annotation files; lmms-lab/OK-VQA; a table
in VLMEvalKit's format. Images: COCO val2014.
"""

from __future__ import annotations

from collavo.datasets.registration.coco_vqa import (
    hub_samples,
    list_layout,
    official_layout,
    table_samples,
)
from collavo.datasets.registration.layouts import hf_layout, load_layouts, tsv_layout
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.records import Sample

_NAME = "okvqa_val"
_IMAGES = ("coco2014/val2014", "val2014", "coco/val2014")

QUESTION_TYPES = {
    "one": "Vehicles and Transportation",
    "two": "Brands, Companies and Products",
    "three": "Objects, Materials and Clothing",
    "four": "Sports and Recreation",
    "five": "Cooking and Food",
    "six": "Geography, History, Language and Culture",
    "seven": "People and Everyday Life",
    "eight": "Plants and Animals",
    "nine": "Science and Technology",
    "ten": "Weather and Climate",
    "other": "Other",
}
"""What the annotations' question types stand for (`question_types` in the authors' file)."""


def load_okvqa() -> list[Sample]:
    """Reads OK-VQA's validation questions.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    layouts = (
        official_layout(
            _NAME,
            ("OpenEnded_mscoco_val2014_questions.json",),
            ("mscoco_val2014_annotations.json",),
            "val2014",
            _IMAGES,
        ),
        list_layout(_NAME, ("llava_okvqa_val2014.jsonl",), _IMAGES),
        hf_layout("val2014", hub_samples(_NAME)),
        tsv_layout(("OK-VQA_VAL.tsv", "OKVQA_VAL.tsv"), table_samples(_NAME)),
    )
    return load_layouts(_NAME, ("OK-VQA", "OKVQA", "okvqa", "ok-vqa"), layouts)


DatasetCatalog.register(_NAME, load_okvqa)
MetadataCatalog.get(_NAME).set(
    pipeline="okvqa",
    evaluator_type="vqav2",
    benchmark="okvqa",
    config_block="OKVQA",
    answer_type="text",
    description="OK-VQA: questions about COCO images that need outside knowledge",
    expected={"questions": 5046},
    published=[],
)
