"""A-OKVQA: questions that need knowledge of the world, about COCO images (Schwenk et al., 2022).

`aokvqa_val` asks to choose one of four, `aokvqa_val_direct` for a free answer. Layouts under
`<root>/A-OKVQA`: the authors' `aokvqa_v1p0_val.json` with COCO's `val2017`; a copy of
HuggingFaceM4/A-OKVQA; VLMEvalKit's table (multiple choice).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    ANNOTATIONS,
    by_letter,
    first_file,
    image_in,
    lettered,
    optional_text,
    repeated,
    right_letter,
    texts_of,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.roots import root
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_FOLDERS = ("A-OKVQA", "AOKVQA", "aokvqa")
_FILES = ("aokvqa_v1p0_val.json", *ANNOTATIONS)
_IMAGES = ("coco2017/val2017", "COCO/val2017", "coco/val2017", "val2017", "A-OKVQA/val2017")


def load_aokvqa(name: str) -> list[Sample]:
    """Reads the validation split, to choose (`aokvqa_val`) or to answer (`aokvqa_val_direct`).

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    direct = name.endswith("_direct")

    def read(rows: Iterable[Row]) -> list[Sample]:
        return repeated(_sample(row, name, direct) for row in rows)

    layouts = [
        Layout("authors", first_file(*_FILES), lambda f: read(read_rows(f)), _FILES[0]),
        hf_layout("validation", read),
    ]
    if not direct:
        layouts.append(tsv_layout(("A-OKVQA.tsv",), lambda r: repeated(_tsv_samples(r, name))))
    return load_layouts(name, _FOLDERS, layouts)


def _sample(row: Row, name: str, direct: bool) -> Sample:
    choices = texts_of(row, "choices")
    right = row.values.get("correct_choice_idx")
    given = row.values.get("direct_answers")
    answers = texts_of(row, "direct_answers") if given not in (None, "", []) else ()
    letter = right_letter(right, by_letter(choices), row.place)
    return Sample(
        sample_id=f"{name}:{row.key('question_id')}",
        images=one_image(_image(row)),
        question=row.text("question"),
        question_id=row.key("question_id"),
        options=() if direct else choices,
        answers=answers if direct else letter,
        extra={
            "direct_answers": answers,
            "difficult_direct_answer": bool(row.values.get("difficult_direct_answer")),
        },
    )


def _image(row: Row) -> ImageRef | None:
    """The image inside the row, or COCO's file of 2017, which is named by its number alone."""
    if "image" in row.values:
        return cell_ref(row, "image")
    number = str(row.key("image_id"))
    if not (number.isascii() and number.isdecimal() and len(number) <= 12):
        raise DataError(f"{row.place}: 'image_id' must be a number of COCO, got {number!r:.40}")
    place: Path = root().path
    return image_in([place / x for x in _IMAGES], f"{int(number):012d}.jpg", row.place)


def _tsv_samples(rows: Iterable[Row], name: str) -> Iterator[Sample]:
    for row in rows:
        options = lettered(row)
        answer = optional_text(row, "answer")
        yield Sample(
            sample_id=f"{name}:{row.key('question_id', 'index')}",
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=row.key("question_id", "index"),
            options=tuple(options.values()),
            answers=right_letter(answer, options, row.place),
            extra={"choices": options, "other_ids": (str(row.key("index")),)},
        )


def _loader(name: str) -> Callable[[], list[Sample]]:
    return partial(load_aokvqa, name)


_SHARED: dict[str, Any] = {"benchmark": "aokvqa", "expected": {"questions": 1145}, "published": []}
for _name, _more in (
    (
        "aokvqa_val",
        {
            "pipeline": "aokvqa",
            "evaluator_type": "aokvqa",
            "answer_type": "choice",
            "description": "A-OKVQA validation: multiple choice with knowledge of the world",
        },
    ),
    (
        "aokvqa_val_direct",
        {
            "pipeline": "aokvqa_direct",
            "evaluator_type": "aokvqa_direct",
            "answer_type": "text",
            "description": "A-OKVQA validation: free answers, compared with ten people's",
        },
    ),
):
    DatasetCatalog.register(_name, _loader(_name))
    MetadataCatalog.get(_name).set(**_SHARED, **_more)
