"""OCRBench: 1,000 questions about text in images (Liu et al., 2023, arXiv:2305.07895).

Layouts under `<root>/OCRBench`: the authors' `OCRBench/OCRBench.json` with `OCRBench_Images/`;
echo840/OCRBench; VLMEvalKit's table.
Source: Yuliang-Liu/MultimodalOCR, OCRBench/OCRBench/OCRBench.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from collavo.datasets.registration.choices import MMFUSER, first_file, published
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below, texts_of
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.records import Sample, one_image

_NAME = "ocrbench"
_FILES = ("OCRBench.json", "OCRBench/OCRBench.json", "data/OCRBench.json")


def load_ocrbench() -> list[Sample]:
    """Reads OCRBench.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    layouts = (
        Layout("original", _find, _original, f"{_FILES[0]}, OCRBench_Images/"),
        hf_layout("test", _from_hub),
        tsv_layout(("OCRBench.tsv",), _from_table),
    )
    return load_layouts(_NAME, ("OCRBench", "ocrbench", "OCR-Bench"), layouts)


def _find(folder: Path) -> tuple[Path, Path] | None:
    file = first_file(*_FILES)(folder)
    return (folder, file) if file else None


def _original(found: tuple[Path, Path]) -> Iterator[Sample]:
    """Yields the samples; the authors' ids repeat from one of their sources to the next."""
    folder, file = found
    images, ids = Images(below(folder, "OCRBench_Images", "images")), SampleIds(_NAME)
    for number, row in enumerate(read_rows(file)):
        image = row.text("image_path", "image")
        source, key = row.text("dataset_name"), row.key("id")
        yield Sample(
            sample_id=ids.of(f"{source}/{key}"),
            images=one_image(images.ref(image, row.place)),
            question=row.text("question"),
            question_id=f"{source}/{key}",
            answers=texts_of(row, "answers", "answer"),
            category=row.text("type", "question_type"),
            extra={"image": image, "dataset_name": source, "other_ids": (number,)},
        )


def _from_hub(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for number, row in enumerate(rows):
        yield Sample(
            sample_id=ids.of(number),
            images=one_image(cell_ref(row, "image")),
            question=row.text("question").strip(),
            question_id=number,
            answers=texts_of(row, "answer", "answers"),
            category=row.text("question_type", "type"),
            extra={"dataset_name": row.text("dataset", "dataset_name")},
        )


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for row in rows:
        key, category = short_index(row), row.text("category")
        formula = category.startswith("Handwritten Mathematical")
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=key,
            answers=texts_of(row, "answer", lists=True),
            category=category,
            extra={"dataset_name": "HME100k"} if formula else {},
        )


DatasetCatalog.register(_NAME, load_ocrbench)
MetadataCatalog.get(_NAME).set(
    pipeline="ocrbench",
    evaluator_type="ocrbench",
    benchmark="ocrbench",
    config_block="OCRBENCH",
    answer_type="text",
    description="OCRBench: text recognition, questions about text and documents, key information",
    expected={
        "questions": {
            "Regular Text Recognition": 50,
            "Irregular Text Recognition": 50,
            "Artistic Text Recognition": 50,
            "Handwriting Recognition": 50,
            "Digit String Recognition": 50,
            "Non-Semantic Text Recognition": 50,
            "Scene Text-centric VQA": 200,
            "Doc-oriented VQA": 200,
            "Key Information Extraction": 200,
            "Handwritten Mathematical Expression Recognition": 100,
        },
        "images": 930,
    },
    published=published(
        "final_score",
        "points of 1000",
        (
            ("LLaVA-1.5-7B", 297, MMFUSER),
            ("LLaVA-1.5-13B", 331, MMFUSER),
            ("MMFuser-7B", 315, MMFUSER),
            ("MMFuser-13B", 343, MMFUSER),
        ),
    ),
)
