"""VQAv2: questions about images of COCO with ten answers each (Goyal et al., arXiv:1612.00837).

Layouts under `<root>/VQAv2`: the organisers' question and annotation files; LLaVA's list of
test-dev; lmms-lab/VQAv2; a table in VLMEvalKit's format.
"""

from __future__ import annotations

from functools import partial

from collavo.datasets.registration.choices import CODEFUSE, MMFUSER, published
from collavo.datasets.registration.coco_vqa import (
    hub_samples,
    list_layout,
    official_layout,
    table_samples,
)
from collavo.datasets.registration.layouts import hf_layout, load_layouts, tsv_layout
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.records import Sample

_FOLDERS = ("VQAv2", "vqav2", "VQAV2")
_VAL_IMAGES = ("coco2014/val2014", "val2014", "coco/val2014")
_TEST_IMAGES = ("test2015", "coco2015/test2015", "coco/test2015")


def load_vqav2(split: str) -> list[Sample]:
    """Reads VQAv2.

    Args:
        split: "val" or "testdev", whose answers are hidden.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    name = f"vqav2_{split}"
    if split == "val":
        official = official_layout(
            name,
            ("v2_OpenEnded_mscoco_val2014_questions.json",),
            ("v2_mscoco_val2014_annotations.json",),
            "val2014",
            _VAL_IMAGES,
        )
        lists = ("llava_vqav2_mscoco_val2014.jsonl",)
        hub, images = "validation", _VAL_IMAGES
    else:
        official = official_layout(
            name,
            ("v2_OpenEnded_mscoco_test-dev2015_questions.json",),
            (),
            "test2015",
            _TEST_IMAGES,
        )
        lists = ("llava_vqav2_mscoco_test-dev2015.jsonl",)
        hub, images = "testdev", _TEST_IMAGES
    layouts = (
        official,
        list_layout(name, lists, images),
        hf_layout(hub, hub_samples(name)),
        tsv_layout((f"VQAv2_{split.upper()}.tsv",), table_samples(name)),
    )
    return load_layouts(name, _FOLDERS, layouts)


for _split, _questions, _images, _figures in (
    ("val", 214354, 40504, ()),
    (
        "testdev",
        107394,
        None,
        (
            ("LLaVA-1.5-7B", 78.5, "arXiv:2310.03744"),
            ("LLaVA-1.5-13B", 80.0, "arXiv:2310.03744"),
            ("CodeFuse-VLM-14B", 79.3, CODEFUSE),
            ("MMFuser-7B", 79.1, MMFUSER),
            ("MMFuser-13B", 80.1, MMFUSER),
        ),
    ),
):
    DatasetCatalog.register(f"vqav2_{_split}", partial(load_vqav2, _split))
    MetadataCatalog.get(f"vqav2_{_split}").set(
        pipeline="vqav2",
        evaluator_type="vqav2",
        benchmark="vqav2",
        config_block="VQAV2",
        answer_type="text",
        description="VQAv2: short questions about COCO images, ten answers each"
        + ("" if _split == "val" else "; hidden, for EvalAI"),
        expected={"questions": _questions} | ({"images": _images} if _images else {}),
        published=published("accuracy", "percent", _figures),
    )
