"""SEED-Bench-1, image part: nine kinds of questions about photographs (Li et al., 2023).

Layouts under `<root>/SEED-Bench`: the authors' `SEED-Bench.json` with `SEED-Bench-image/`, which
CoLLaVO and LLaVA read; a copy of lmms-lab/SEED-Bench; VLMEvalKit's table; and, to score answers
alone, rows of `question_id` and `gt_answer` such as the authors' `GPT-4V.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    ANNOTATIONS,
    CONVLLAVA,
    MMFUSER,
    by_letter,
    first_file,
    image_in,
    lettered,
    optional_text,
    published,
    repeated,
    right_letter,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

TYPES = {
    1: "Scene Understanding",
    2: "Instance Identity",
    3: "Instance Attributes",
    4: "Instance Location",
    5: "Instances Counting",
    6: "Spatial Relation",
    7: "Instance Interaction",
    8: "Visual Reasoning",
    9: "Text Understanding",
}
"""The kinds of image questions by id; before May 2024 the names of 3 and 4 were swapped."""

_FOLDERS = ("SEED-Bench", "seed_bench", "SEED-Bench-1", "seed")
_IMAGES = ("SEED-Bench-image", "images", "image")
_GOLD = (*ANNOTATIONS, "GPT-4V.json", "SEED-Bench-1_GPT-4V.jsonl")
_CHOICES = tuple(f"choice_{letter}" for letter in "abcde")


def load_seed() -> list[Sample]:
    """Reads SEED-Bench's image questions.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    return load_layouts(
        "seed",
        _FOLDERS,
        (
            Layout("original", first_file("SEED-Bench.json"), _read, "SEED-Bench.json"),
            hf_layout("test", lambda rows: repeated(_samples(rows, None))),
            tsv_layout(("SEEDBench_IMG.tsv",), lambda rows: repeated(_tsv_samples(rows))),
            Layout("annotations", first_file(*_GOLD), _gold, " or ".join(_GOLD)),
        ),
    )


def _read(file: Path) -> list[Sample]:
    value = read_json(file)
    questions = value.get("questions") if isinstance(value, dict) else value
    if not isinstance(questions, list):
        raise DataError(f"{file}: expected an object with a list 'questions'")
    rows = []
    for number, values in enumerate(questions, start=1):
        if not isinstance(values, dict):
            raise DataError(f"{file}, question {number}: expected an object")
        rows.append(Row(f"{file}, question {number}", values))
    return repeated(_samples(rows, file.parent))


def _samples(rows: Iterable[Row], folder: Path | None) -> Iterator[Sample]:
    """Yields the image questions; in `folder` lie the images, else the rows hold them."""
    for row in rows:
        if str(row.values.get("data_type", "image")).strip().lower() != "image":
            continue
        image: ImageRef | None = cell_ref(row, "image") if folder is None else None
        if folder is not None:
            places = [folder / name for name in _IMAGES]
            image = image_in(places, str(row.key("data_id")), row.place)
        options = _options(row)
        kind = _type_of(row)
        answer = optional_text(row, "answer")
        yield Sample(
            sample_id=f"seed:{row.key('question_id')}",
            images=one_image(image),
            question=row.text("question"),
            question_id=row.key("question_id"),
            options=options,
            answers=right_letter(answer, by_letter(options), row.place),
            category=TYPES.get(kind, ""),
            extra={"type_id": kind},
        )


def _options(row: Row) -> tuple[str, ...]:
    """The choices; one that is an empty text is a choice, one that is not there ends the list."""
    found = []
    for name in _CHOICES:
        value = row.values.get(name)
        if value is None:
            break
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(f"{row.place}: {name!r} must be text, got {value!r:.60}")
        found.append(str(value))
    if not found:
        raise DataError(f"{row.place}: no field 'choice_a'")
    return tuple(found)


def _type_of(row: Row) -> int:
    kind = row.key("question_type_id")
    text = str(kind).strip()
    if not (text.isascii() and text.isdecimal() and int(text[:4]) in TYPES):
        raise DataError(
            f"{row.place}: 'question_type_id' must be 1 to 9 for an image question, got {kind!r}"
        )
    return int(text)


def _tsv_samples(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = {name.casefold(): number for number, name in TYPES.items()}
    for row in rows:
        options = lettered(row)
        kind = optional_text(row, "category")
        key = row.key("question_id", "index")
        answer = optional_text(row, "answer")
        extra: dict[str, Any] = {"choices": options, "other_ids": (str(row.key("index")),)}
        if kind.casefold() in ids:
            extra["type_id"] = ids[kind.casefold()]
        yield Sample(
            sample_id=f"seed:{key}",
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=key,
            options=tuple(options.values()),
            answers=right_letter(answer, options, row.place),
            category=kind,
            extra=extra,
        )


def _gold(file: Path) -> list[Sample]:
    """Reads labels without questions; ids that begin with v are of videos.

    Raises:
        DataError: Two rows of one id have different labels.
    """
    found: dict[str, Sample] = {}
    for row in read_rows(file):
        key = str(row.key("question_id")).strip()
        if key.startswith("v"):
            continue
        given = row.need("gt_answer", "answer", "label")
        answers = right_letter(given, dict.fromkeys("ABCDE", ""), row.place)
        if key in found and found[key].answers != answers:
            raise DataError(f"{row.place}: question {key!r} has another answer further up")
        extra = {"type_id": _type_of(row)} if row.values.get("question_type_id") else {}
        if key not in found:
            found[key] = Sample(
                sample_id=f"seed:{key}",
                images=(),
                question=optional_text(row, "question"),
                question_id=key,
                answers=answers,
                extra={**extra, "choices": dict.fromkeys("ABCD", "")},
            )
    return list(found.values())


DatasetCatalog.register("seed", load_seed)
MetadataCatalog.get("seed").set(
    pipeline="seed",
    evaluator_type="seed",
    benchmark="seed",
    config_block="SEED",
    answer_type="choice",
    description="SEED-Bench, image part: multiple choice in nine kinds of questions",
    expected={"questions": 14233},
    published=published(
        "accuracy",
        "fraction",
        [
            ("CoLLaVO-7B", 0.759, "arXiv:2402.11248, Figure 8 (read off the plot)"),
            ("LLaVA-1.5-7B", 0.661, "arXiv:2310.03744"),
            ("LLaVA-1.5-13B", 0.682, "arXiv:2310.03744"),
            ("ConvLLaVA-7B (768)", 0.688, CONVLLAVA),
            ("ConvLLaVA-7B (1024)", 0.693, CONVLLAVA),
            ("ConvLLaVA-7B (1536)", 0.702, CONVLLAVA),
        ],
    )
    + published(
        "accuracy_with_videos",
        "fraction",
        [("MMFuser-7B", 0.608, MMFUSER), ("MMFuser-13B", 0.620, MMFUSER)],
    ),
)
