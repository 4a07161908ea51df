"""HallusionBench: yes/no questions on figures and without (Guan et al., 2024, arXiv:2310.14566).

Layouts under `<root>/HallusionBench`: the authors' `HallusionBench.json` and `hallusion_bench/`; a
copy of lmms-lab/HallusionBench (its splits image and non_image); VLMEvalKit's table. The 178
questions without a figure are read, too: CoLLaVO's code and both toolkits leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.graded import composite_id
from collavo.datasets.registration.choices import first_file
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_files,
    load_layouts,
    parquet_rows,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

NAME = "hallusionbench"

_FOLDERS = ("HallusionBench", "hallusionbench", "hallusion_bench")
_FILES = ("HallusionBench.json", "annotations.json", "annotations.jsonl")
_IMAGES = ("hallusion_bench", "hallusion_bench/hallusion_bench", ".")
_LABELS = {"1": "yes", "0": "no", "yes": "yes", "no": "no"}
_LEADERBOARD = "tianyi-lab/HallusionBench README, GPT evaluation"


def load_hallusionbench() -> list[Sample]:
    """Reads HallusionBench.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    layouts = (
        Layout("authors", first_file(*_FILES), _from_json, f"{_FILES[0]}, {_IMAGES[0]}/"),
        Layout("hf", _parts, _from_parts, "[data/]image-*.parquet and non_image-*.parquet"),
        tsv_layout(("HallusionBench.tsv",), _from_table),
    )
    return load_layouts(NAME, _FOLDERS, layouts)


def _from_json(file: Path) -> Iterator[Sample]:
    images, ids = Images(below(file.parent, *_IMAGES)), SampleIds(NAME)
    for row in read_rows(file):
        name = row.values.get("filename")
        ref = None
        if name is not None:
            name = row.text("filename").removeprefix("./")
            ref = images.ref(_spelled(images.folder, name), row.place)
        yield _sample(ids, row, ref, name)


def _spelled(folder: Path, name: str) -> str:
    """The name as it stands on disk: some downloads end in .PNG."""
    stem, dot, ending = name.rpartition(".")
    for form in (name, f"{stem}{dot}{ending.upper()}", f"{stem}{dot}{ending.lower()}"):
        try:
            if (folder / form).is_file():
                return form
        except (OSError, ValueError):  # a name too long, or with a NUL
            break
    return name


def _parts(folder: Path) -> list[Path] | None:
    files = hf_files(folder, "image")
    return None if files is None else [*files, *(hf_files(folder, "non_image") or ())]


def _from_parts(files: list[Path]) -> Iterator[Sample]:
    ids = SampleIds(NAME)
    for row in parquet_rows(files):
        figure = str(row.values.get("visual_input")) != "0"
        name = row.values.get("filename")
        known = name.removeprefix("./") if isinstance(name, str) else None
        yield _sample(ids, row, cell_ref(row, "image") if figure else None, known)


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    """Yields the samples of VLMEvalKit's table, whose index ends in set, figure and question."""
    ids = SampleIds(NAME)
    for row in rows:
        index = str(row.key("index"))
        parts = index.split("_")[-3:]
        if len(parts) < 3:
            raise DataError(f"{row.place}: the index must end in _set_figure_question: {index!r}")
        fields = {
            **row.values,
            **dict(zip(("set_id", "figure_id", "question_id"), parts, strict=True)),
            "subcategory": row.values.get("l2-category"),
            "gt_answer": row.values.get("answer"),
            "index": index,
        }
        yield _sample(ids, Row(row.place, fields), cell_ref(row, "image"), None)


def _sample(ids: SampleIds, row: Row, image: ImageRef | None, name: str | None) -> Sample:
    key = composite_id(row.values)
    if not key:
        raise DataError(
            f"{row.place}: category, subcategory, set_id, figure_id and question_id must be there"
        )
    category, subcategory = str(row.key("category")), str(row.key("subcategory"))
    figure = str(row.key("figure_id"))
    given = row.values.get("visual_input")
    if given is None:  # VLMEvalKit's table does not tell original from modified figures
        given = "1" if category == "VD" and figure == "0" else "2"
    extra: dict[str, Any] = {
        "category": category,
        "subcategory": subcategory,
        "set_id": str(row.key("set_id")),
        "figure_id": figure,
        "question": str(row.key("question_id")),
        "visual_input": str(given),
        "details": row.values.get("gt_answer_details"),
    }
    if name is not None:
        extra["image"] = name
    if "index" in row.values:
        extra["other_ids"] = (str(row.values["index"]),)
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=row.text("question"),
        question_id=key,
        answers=_label(row),
        category=f"{category}/{subcategory}",
        extra=extra,
    )


def _label(row: Row) -> tuple[str, ...]:
    value = row.values.get("gt_answer")
    if value is None:
        return ()
    label = _LABELS.get(str(value).strip().lower())
    if label is None:
        raise DataError(f"{row.place}: the answer must be 1 (yes) or 0 (no), got {value!r:.80}")
    return (label,)


DatasetCatalog.register(NAME, load_hallusionbench)
MetadataCatalog.get(NAME).set(
    pipeline="hallusionbench",
    evaluator_type="hallusionbench",
    benchmark="hallusionbench",
    config_block="HALLUSIONBENCH",
    answer_type="yes_no",
    description="HallusionBench: 1,129 yes/no questions, 178 of them without a figure",
    expected={
        "questions": {"VD": 591, "VS": 538},
        "images": 346,
        "other_releases": {"the questions with a figure alone": 951},
    },
    published=[
        {
            "model": model,
            "metric": metric,
            "value": value,
            "unit": "percent",
            "parser": "official",
            "source": _LEADERBOARD,
        }
        for model, values in (
            ("GPT-4V", (65.28, 28.79, 39.88, 75.60, 37.67)),
            ("LLaVA-1.5-13B", (46.94, 10.55, 24.86, 49.67, 29.77)),
            ("Qwen-VL-7B", (39.15, 5.93, 6.65, 31.43, 24.88)),
            ("InstructBLIP-7B", (45.26, 9.45, 10.11, 35.60, 45.12)),
            ("BLIP2-T5", (48.09, 15.16, 20.52, 45.49, 43.49)),
        )
        for metric, value in zip(
            ("aAcc", "qAcc", "fAcc", "easy_aAcc", "hard_aAcc"), values, strict=True
        )
    ],
)
