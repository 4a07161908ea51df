"""ScienceQA: science questions of school, half of them with an image (Lu et al., 2022).

Layouts under `<root>/ScienceQA`: the authors' `problems.json` and `pid_splits.json`; with LLaVA's
`llava_test_CQM-A.json` beside them its wording and order are taken (CoLLaVO, LLaVA); a copy of
lmms-lab/ScienceQA; VLMEvalKit's table. Images: `images/test/<pid>/image.png`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    COLLAVO,
    MMFUSER,
    XMODEL,
    by_letter,
    image_in,
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
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

NAME = "scienceqa_test"
_FOLDERS = ("ScienceQA", "scienceqa", "ScienceQA/data/scienceqa")
_FIELDS = ("subject", "grade", "topic", "category", "skill", "task")
_PROBLEMS = ("problems.json", "base/problems.json")
_LLAVA = ("llava_test_CQM-A.json", "llava_test_CQM-A.jsonl")


def load_scienceqa() -> list[Sample]:
    """Reads ScienceQA's test split, with its questions that have no image.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    return load_layouts(
        NAME,
        _FOLDERS,
        (
            Layout("original", _find(_LLAVA), _read, f"problems.json and {_LLAVA[0]}"),
            Layout("authors", _find(()), _read, "problems.json, pid_splits.json, images/test/"),
            *(
                hf_layout("test", lambda rows: repeated(map(_hf_sample, enumerate(rows))), config)
                for config in ("ScienceQA-FULL", "ScienceQA-IMG", None)
            ),
            tsv_layout(("ScienceQA_TEST.tsv",), lambda rows: repeated(_tsv_samples(rows))),
        ),
    )


def _find(lists: tuple[str, ...]) -> Any:
    def find(folder: Path) -> tuple[Path, Path | None] | None:
        problems = next((folder / name for name in _PROBLEMS if (folder / name).is_file()), None)
        asked = next((folder / name for name in lists if (folder / name).is_file()), None)
        return None if problems is None or (lists and asked is None) else (problems, asked)

    return find


def _read(files: tuple[Path, Path | None]) -> Iterator[Sample]:
    """Yields the test questions of problems.json, worded and ordered by LLaVA's list if given."""
    problems, asked = files
    known = read_json(problems)
    if not isinstance(known, dict):
        raise DataError(f"{problems}: expected an object of problems by pid")
    base = problems.parent if problems.parent.name != "base" else problems.parent.parent
    if asked is None:
        for pid in _test_ids(problems, known):
            yield _sample(base, _problem(problems, known, pid), pid, "")
        return
    for row in read_rows(asked):
        pid = str(row.key("id", "question_id"))
        yield _sample(base, _problem(problems, known, pid), pid, _said(row))


def _said(row: Row) -> str:
    """LLaVA's wording, with its `<image>`."""
    turns = row.values.get("conversations")
    if isinstance(turns, list) and turns and isinstance(turns[0], Mapping):
        return Row(row.place, turns[0]).text("value")
    return row.text("text")


def _test_ids(problems: Path, known: Mapping[str, Any]) -> list[str]:
    splits = problems.with_name("pid_splits.json")
    if splits.is_file():
        ids = Row(str(splits), _mapping(read_json(splits), splits)).need("test")
        if not isinstance(ids, list):
            raise DataError(f"{splits}: 'test' must be a list of pids")
        return [str(pid) for pid in ids]
    named = {pid: p.get("split", "test") for pid, p in known.items() if isinstance(p, Mapping)}
    return [pid for pid, split in named.items() if split == "test"]


def _mapping(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{path}: expected an object, got {type(value).__name__}")
    return value


def _problem(path: Path, known: Mapping[str, Any], pid: str) -> Row:
    place = f"{path}, problem {pid!r}"
    if pid not in known:
        raise DataError(f"{place}: it is asked for but not there; take all files of one release")
    if not isinstance(known[pid], Mapping):
        raise DataError(f"{place}: expected an object, got {type(known[pid]).__name__}")
    return Row(place, known[pid])


def _sample(base: Path, row: Row, pid: str, said: str) -> Sample:
    image = None
    if row.values.get("image"):
        folders = [base / name for name in ("images/test", "test", "images")]
        image = image_in(folders, f"{pid}/{row.text('image').rsplit('/', 1)[-1]}", row.place)
    options = texts_of(row, "choices")
    question = row.text("question", "context_and_question")
    extra: dict[str, Any] = {"hint": optional_text(row, "hint"), "has_image": image is not None}
    if "question" not in row.values:
        # a question whose context was never told apart from it
        extra["has_context"] = question.startswith("Context: ")
    if said:
        extra["text"] = said
    return Sample(
        sample_id=f"{NAME}:{pid}",
        images=one_image(image),
        question=question,
        question_id=pid,
        options=options,
        answers=right_letter(row.need("answer"), by_letter(options), row.place),
        category=optional_text(row, "subject"),
        extra=extra | {name: optional_text(row, name) for name in _FIELDS},
    )


def _hf_sample(numbered: tuple[int, Row]) -> Sample:
    number, row = numbered
    options = texts_of(row, "choices")
    image = cell_ref(row, "image")
    answer = row.values.get("answer")
    return Sample(
        sample_id=f"{NAME}:{number}",
        images=one_image(image),
        question=row.text("question"),
        question_id=number,
        options=options,
        answers=right_letter(answer, by_letter(options), row.place),
        category=optional_text(row, "subject"),
        extra={"hint": optional_text(row, "hint"), "has_image": image is not None}
        | {name: optional_text(row, name) for name in _FIELDS},
    )


def _tsv_samples(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        options = lettered(row)
        image: ImageRef | None = cell_ref(row, "image")
        answer = optional_text(row, "answer")
        yield Sample(
            sample_id=f"{NAME}:{row.key('index')}",
            images=one_image(image),
            question=row.text("question"),
            question_id=row.key("index"),
            options=tuple(options.values()),
            answers=right_letter(answer, options, row.place),
            category=optional_text(row, "category"),
            extra={"hint": optional_text(row, "hint"), "has_image": True, "choices": options},
        )


DatasetCatalog.register(NAME, load_scienceqa)
MetadataCatalog.get(NAME).set(
    pipeline="scienceqa",
    evaluator_type="scienceqa",
    benchmark="scienceqa",
    config_block="SCIENCEQA",
    answer_type="choice",
    description="ScienceQA test: multiple choice in school science, about half with an image",
    expected={
        "questions": 4241,
        "images": 2017,
        "other_releases": {"the questions with an image alone": 2017},
    },
    published=published(
        "image_accuracy",
        "percent",
        [
            ("CoLLaVO-7B", 80.7, COLLAVO),
            ("LLaVA-1.5-7B", 66.8, COLLAVO),
            ("LLaVA-1.5-13B", 71.6, COLLAVO),
            ("Qwen-VL-7B", 67.1, COLLAVO),
            ("Qwen-VL-Chat-7B", 68.2, COLLAVO),
            ("ShareGPT4V-7B", 68.4, COLLAVO),
            ("InstructBLIP-7B", 60.5, COLLAVO),
            ("BLIP2-13B", 61.0, COLLAVO),
            ("Xmodel_VLM", 53.3, XMODEL),
            ("MMFuser-7B", 68.7, MMFUSER),
            ("MMFuser-13B", 71.2, MMFUSER),
        ],
    ),
)
