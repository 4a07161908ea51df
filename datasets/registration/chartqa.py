"""ChartQA: questions about charts, by people and by a model (Masry et al., arXiv:2203.10244).

Layouts under `<root>/ChartQA`: the authors' `test/test_{human,augmented}.json` with `test/png/`;
labelled rows in `annotations.jsonl`; lmms-lab/ChartQA; VLMEvalKit's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from collavo.datasets.registration.choices import annotations_layout
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.roots import root
from collavo.datasets.registration.vqa_fields import Images, SampleIds, asked_in, texts_of
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import MissingFileError
from collavo.records import ImageRef, Sample, one_image

_NAME = "chartqa_test"
_FOLDERS = ("ChartQA", "chartqa", "ChartQA Dataset", "ChartQA/ChartQA Dataset")
_SPLITS = ("human", "augmented")
_INNER = ("test", "")


def load_chartqa() -> list[Sample]:
    """Reads ChartQA's test split: human questions, then augmented ones.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    layouts = (
        Layout("original", _find, _original, "test/test_human.json, test/test_augmented.json"),
        hf_layout("test", _from_hub),
        tsv_layout(("ChartQA_TEST.tsv",), _from_table),
        annotations_layout(_annotated),
    )
    return load_layouts(_NAME, _FOLDERS, layouts)


def _find(folder: Path) -> dict[str, Path] | None:
    """Finds the files of both splits.

    Raises:
        MissingFileError: Only one of them is there.
    """
    for inner in _INNER:
        files = {x: folder / inner / f"test_{x}.json" for x in _SPLITS}
        lost = [file for file in files.values() if not file.is_file()]
        if len(lost) == 1:
            raise MissingFileError(f"ChartQA's test split has two files, and {lost[0]} is missing")
        if not lost:
            return files
    return None


def _original(files: dict[str, Path]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for split, file in files.items():
        images = Images(file.parent / name for name in ("png", "images"))
        for number, row in enumerate(read_rows(file)):
            image = row.text("imgname", "image")
            ref = images.ref(image, row.place)
            yield _sample(ids, row, split, number, image, ref)


def _sample(
    ids: SampleIds, row: Row, split: str, number: int, image: str, ref: ImageRef | None
) -> Sample:
    """Makes one sample; its question id is the split and the row's number in the split's file."""
    question = asked_in(row.text("query", "question"))
    return Sample(
        sample_id=ids.of(f"{split}/{image}/{question}" if image else f"{split}/{number}"),
        images=one_image(ref),
        question=question,
        question_id=f"{split}/{number}",
        answers=texts_of(row, "label", "answer"),
        category=split,
        extra={"image": image} if image else {},
    )


def _split_of(row: Row) -> str:
    """Returns "human" or "augmented" of a row's type, "" where it has none."""
    kind = row.values.get("type", row.values.get("split"))
    named = kind.lower() if isinstance(kind, str) else ""
    return next((split for split in _SPLITS if split in named), "")


def _from_hub(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    counts: dict[str, int] = dict.fromkeys((*_SPLITS, ""), 0)
    for row in rows:
        split = _split_of(row)
        yield _sample(ids, row, split, counts[split], "", cell_ref(row, "image"))
        counts[split] += 1


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for row in rows:
        key = short_index(row)
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=key,
            answers=texts_of(row, "answer", lists=True),
            category=_split_of(row),
        )


def _annotated(rows: Iterable[Row]) -> Iterator[Sample]:
    ids, images = SampleIds(_NAME), Images(root().path / name for name in _FOLDERS)
    for row in rows:
        key, image = row.key("id", "question_id"), row.text("image")
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(images.ref(image, row.place)),
            question=asked_in(row.text("question", "query")),
            question_id=key,
            answers=texts_of(row, "answer", "label"),
            category=_split_of(row),
            extra={"image": image},
        )


DatasetCatalog.register(_NAME, load_chartqa)
MetadataCatalog.get(_NAME).set(
    pipeline="chartqa",
    evaluator_type="chartqa",
    benchmark="chartqa",
    config_block="CHARTQA",
    answer_type="text",
    description="ChartQA: questions about charts, by people (human) and by a model (augmented)",
    expected={"questions": {"human": 1250, "augmented": 1250}, "images": 1509},
    published=[],
)
