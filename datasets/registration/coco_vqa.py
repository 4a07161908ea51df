"""Reads question and annotation files in the format of VQA, over images of COCO.

Source: the format of visualqa.org, which OK-VQA shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import first_file
from collavo.datasets.registration.layouts import Layout, cell_ref
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.vqa_fields import (
    Images,
    SampleIds,
    asked_in,
    below,
    rows_in,
    texts_of,
)
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_TYPES = ("question_type", "answer_type")


def official_layout(
    dataset: str,
    questions: Sequence[str],
    annotations: Sequence[str],
    split: str,
    images: Sequence[str],
) -> Layout:
    """Describes the organisers' files.

    Args:
        dataset: The registered name, for ids.
        questions: The names of the question file, the usual one first.
        annotations: The names of the annotation file; none where the answers are hidden.
        split: COCO's name of the image folder ("val2014"), for the file names.
        images: The image folders, below the dataset's folder or the root.
    """
    find_questions, find_annotations = first_file(*questions), first_file(*annotations)

    def find(folder: Path) -> tuple[Path, Path | None] | None:
        asked, answered = find_questions(folder), find_annotations(folder)
        return None if asked is None or (annotations and answered is None) else (asked, answered)

    def read(files: tuple[Path, Path | None]) -> Iterator[Sample]:
        asked, answered = files
        known = _annotated(answered) if answered else {}
        refs, ids = Images(below(asked.parent, *images)), SampleIds(dataset)
        for row in rows_in(read_json(asked), asked, "questions"):
            key = row.key("question_id")
            name = coco_name(split, row)
            facts = known.get(str(key))
            if answered and facts is None:
                raise DataError(
                    f"{row.place}: {answered} has no annotation of question {key!r}; take both "
                    "files from one release"
                )
            ref = refs.ref(name, row.place)
            yield _sample(ids, row, facts or row, ref, {"image": name})

    needed = " and ".join(names[0] for names in (questions, annotations) if names)
    return Layout("original", find, read, f"{needed}, {images[0]}/")


def _annotated(file: Path) -> dict[str, Row]:
    return {str(r.key("question_id")): r for r in rows_in(read_json(file), file, "annotations")}


def coco_name(split: str, row: Row) -> str:
    """Returns COCO's file name of a row's image.

    Raises:
        DataError: The image's id is no whole number.
    """
    number = str(row.key("image_id"))
    if not (number.isascii() and number.isdecimal()):
        raise DataError(f"{row.place}: 'image_id' must be a whole number, got {number!r}")
    return f"COCO_{split}_{int(number):012d}.jpg"


def _sample(
    ids: SampleIds, row: Row, facts: Row, image: ImageRef | None, extra: dict[str, Any]
) -> Sample:
    key = row.key("question_id")
    types = {n: str(facts.values[n]) for n in _TYPES if facts.values.get(n) is not None}
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=row.text("question"),
        question_id=key,
        answers=texts_of(facts, "answers"),
        extra={**types, **extra},
    )


def list_layout(dataset: str, names: Sequence[str], images: Sequence[str]) -> Layout:
    """Describes LLaVA's question list, which holds no answers."""

    def read(file: Path) -> Iterator[Sample]:
        refs, ids = Images(below(file.parent, *images)), SampleIds(dataset)
        for row in read_rows(file):
            image, key = row.text("image"), row.key("question_id")
            yield Sample(
                sample_id=ids.of(key),
                images=one_image(refs.ref(image, row.place)),
                question=asked_in(row.text("text", "question")),
                question_id=key,
                extra={"image": image},
            )

    return Layout("llava", first_file(*names), read, names[0])


def hub_samples(dataset: str) -> Callable[[Iterable[Row]], Iterator[Sample]]:
    """Returns a reader of rows of lmms-lab's parquet files."""

    def read(rows: Iterable[Row]) -> Iterator[Sample]:
        ids = SampleIds(dataset)
        for row in rows:
            yield _sample(ids, row, row, cell_ref(row, "image"), {})

    return read


def table_samples(dataset: str) -> Callable[[Iterable[Row]], Iterator[Sample]]:
    """Returns a reader of rows of VLMEvalKit's tables of questions with free answers."""

    def read(rows: Iterable[Row]) -> Iterator[Sample]:
        ids = SampleIds(dataset)
        for row in rows:
            key = short_index(row)
            category = row.values.get("category")
            yield Sample(
                sample_id=ids.of(key),
                images=one_image(cell_ref(row, "image")),
                question=row.text("question"),
                question_id=key,
                answers=texts_of(row, "answer", "answers", lists=True),
                category=category if isinstance(category, str) else "",
            )

    return read
