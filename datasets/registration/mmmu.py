"""MMMU: questions of college exams in 30 subjects, with one image or several (Yue et al., 2023).

Layouts under `<root>/MMMU`: a copy of MMMU/MMMU (one folder a subject) or of lmms-lab/MMMU;
VLMEvalKit's table; the authors' `answer_dict_val.json`, which serves to score answers alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.mmmu import OPEN, SUBJECTS
from collavo.datasets.registration.choices import (
    CONVLLAVA,
    LETTERS,
    by_letter,
    first_file,
    lettered,
    optional_text,
    published,
    repeated,
    right_letter,
    texts_of,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    cell_refs,
    hf_configs,
    hf_files,
    hf_layout,
    load_layouts,
    parquet_rows,
    tsv_layout,
)
from collavo.datasets.registration.readers.cells import note_several
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.notes import note
from collavo.datasets.registration.readers.rows import Row, read_json
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample

_FOLDERS = ("MMMU", "mmmu")
_IMAGES = tuple(f"image_{number}" for number in range(1, 8))


def load_mmmu() -> list[Sample]:
    """Reads MMMU's validation split.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    return load_layouts(
        "mmmu_val",
        _FOLDERS,
        (
            Layout("authors", _subjects, _read, "<subject>/validation-*.parquet"),
            hf_layout("validation", lambda rows: repeated(map(_sample, rows))),
            tsv_layout(
                ("MMMU_DEV_VAL.tsv", "MMMU_VAL.tsv"), lambda rows: repeated(_tsv_samples(rows))
            ),
            Layout(
                "annotations", first_file("answer_dict_val.json"), _answers, "answer_dict_val.json"
            ),
        ),
    )


def _subjects(folder: Path) -> list[tuple[str, list[Path]]] | None:
    found = [
        (subject, hf_files(folder, "validation", subject) or [])
        for subject in hf_configs(folder, "validation")
        if subject in SUBJECTS
    ]
    return found or None


def _read(subjects: list[tuple[str, list[Path]]]) -> list[Sample]:
    return repeated(_sample(row) for _, files in subjects for row in parquet_rows(files))


def _sample(row: Row) -> Sample:
    key = row.text("id")
    is_open = optional_text(row, "question_type") == OPEN
    listed = row.values.get("options")
    options = {} if is_open or listed in (None, "[]", "") else by_letter(texts_of(row, "options"))
    images = tuple(ref for name in _IMAGES if (ref := cell_ref(row, name)) is not None)
    fields = ("subfield", "topic_difficulty", "img_type")
    extra = {name: row.values.get(name) for name in fields if name in row.values}
    return _made(row, key, options, images, is_open, row.values.get("answer"), extra)


def _made(
    row: Row,
    key: str,
    options: Mapping[str, str],
    images: tuple[ImageRef, ...],
    is_open: bool,
    answer: Any,
    extra: dict[str, Any],
) -> Sample:
    """Makes a sample with all its images, whose places are "<image 1>" ... in the question."""
    note_several(row, images)
    return Sample(
        sample_id=f"mmmu_val:{key}",
        images=images,
        question=row.text("question"),
        question_id=key,
        options=tuple(options.values()),
        answers=_references(answer, None if is_open else options, row.place),
        category=subject_of(key),
        extra={
            "question_type": OPEN if is_open else "multiple-choice",
            "image_count": len(images),
            **extra,
        },
    )


def _references(answer: Any, options: Mapping[str, str] | None, place: str) -> tuple[str, ...]:
    """A letter for a multiple-choice question; all that is right for an open one (`options` None).

    Raises:
        DataError: It is neither text nor a list of texts, or no letter of the question.
    """
    if answer is None or answer in ("", "?"):
        return ()
    if isinstance(answer, str) and answer.startswith("[") and options is None:
        found = literal(answer)
        answer = answer if found is None else found
    listed = answer if isinstance(answer, list | tuple) else [answer]
    if not listed or any(
        isinstance(x, bool) or not isinstance(x, str | int | float) for x in listed
    ):
        raise DataError(f"{place}: the answer must be text or a list of texts, got {answer!r:.80}")
    if options is None:
        return tuple(str(x) for x in listed)
    if len(listed) > 1:
        note("several right options are not scored", place)
        return ()
    return right_letter(listed[0], options, place)


def subject_of(key: str) -> str:
    """The subject that an id names: "validation_Art_Theory_12" is of Art_Theory."""
    return "_".join(key.split("_")[1:-1])


def _tsv_samples(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        if optional_text(row, "split").lower() in ("dev", "test"):
            continue
        key = optional_text(row, "id") or str(row.key("index"))
        choices = lettered(row)
        sample = _made(
            row,
            key,
            choices,
            cell_refs(row, "image"),
            not choices,
            optional_text(row, "answer"),
            {"choices": choices, "other_ids": (str(row.key("index")),)},
        )
        named = sample.category or optional_text(row, "category").replace(" ", "_")
        yield Sample(**{**vars(sample), "category": named})


def _answers(file: Path) -> list[Sample]:
    """Reads the authors' answers, which come without questions and options."""
    value = read_json(file)
    if not isinstance(value, dict):
        raise DataError(f"{file}: expected an object of answers by id")
    found = []
    for key, fields in value.items():
        place = f"{file}, question {key!r}"
        if not isinstance(fields, dict):
            raise DataError(f"{place}: expected an object, got {type(fields).__name__}")
        row = Row(place, fields)
        is_open = row.text("question_type") != "multiple-choice"
        letters = None if is_open else by_letter(LETTERS[:9])
        found.append(
            Sample(
                sample_id=f"mmmu_val:{key}",
                images=(),
                question="",
                question_id=key,
                answers=_references(row.need("ground_truth"), letters, place),
                category=subject_of(key),
                extra={"question_type": OPEN if is_open else "multiple-choice"},
            )
        )
    return found


DatasetCatalog.register("mmmu_val", load_mmmu)
MetadataCatalog.get("mmmu_val").set(
    pipeline="mmmu",
    evaluator_type="mmmu",
    benchmark="mmmu",
    answer_type="choice",
    first_image=True,  # models that take one image are shown the first, as is usual for it
    description="MMMU validation: college exams in 30 subjects, multiple choice and open",
    expected={"questions": 900},
    published=published(
        "accuracy",
        "fraction",
        [
            ("CoLLaVO-7B", 0.422, "later papers of CoLLaVO's authors"),
            ("ConvLLaVA-7B (768)", 0.363, CONVLLAVA),
            ("ConvLLaVA-7B (1024)", 0.351, CONVLLAVA),
            ("ConvLLaVA-7B (1536)", 0.358, CONVLLAVA),
        ],
    ),
)
