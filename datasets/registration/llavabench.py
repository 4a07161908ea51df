"""LLaVA-Bench in the wild: 60 open questions on 24 images (Liu et al., 2023, arXiv:2304.08485).

Layouts under `<root>/llava-bench-in-the-wild`: the authors' `questions.jsonl`, `context.jsonl`
(what the images show), `answers_gpt4.jsonl` (reference answers) and `images/`; a copy of
lmms-lab/llava-bench-in-the-wild; VLMEvalKit's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import MMFUSER, first_file, published
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.literals import listed
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

NAME = "llavabench"

CATEGORIES = ("conv", "detail", "complex")
"""Conversation, detailed description, complex reasoning."""

_FOLDERS = ("llava-bench-in-the-wild", "LLaVA-Bench", "LLaVABench", "llavabench")
_QUESTIONS = ("questions.jsonl", "questions.json")
_CONTEXT = ("context.jsonl", "context.json")
_REFERENCE = ("answers_gpt4.jsonl", "answers/answers_gpt4.jsonl", "answers_gpt4.json")
_DOCS = "haotian-liu/LLaVA docs/LLaVA_Bench.md"
_PAPER = "arXiv:2310.03744, Table 4"


def load_llavabench() -> list[Sample]:
    """Reads LLaVA-Bench in the wild.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    files = f"{_QUESTIONS[0]}, {_CONTEXT[0]}, {_REFERENCE[0]}, images/"
    layouts = (
        Layout("authors", first_file(*_QUESTIONS), _from_lines, files),
        *(hf_layout(split, _from_hub) for split in ("train", "test")),
        tsv_layout(("LLaVABench.tsv",), _from_table),
    )
    return load_layouts(NAME, _FOLDERS, layouts)


def _from_lines(file: Path) -> Iterator[Sample]:
    """Yields the questions, with the contexts and reference answers that lie beside them."""
    contexts = {row.text("image"): row for row in _beside(file, _CONTEXT)}
    references = {str(row.key("question_id")): row for row in _beside(file, _REFERENCE)}
    images, ids = Images(below(file.parent, "images")), SampleIds(NAME)
    for row in read_rows(file):
        image, key = row.text("image"), str(row.key("question_id"))
        for known, wanted, what in ((contexts, image, "context"), (references, key, "answer")):
            if known and wanted not in known:
                raise DataError(
                    f"{row.place}: there is no {what} for {wanted!r} beside {file.name}"
                )
        context = _text(contexts[image], "caption") if contexts else None
        reference = references[key].text("text") if references else None
        ref = images.ref(image, row.place)
        yield _sample(ids, row, key, row.text("text", "question"), context, reference, ref, image)


def _beside(file: Path, names: tuple[str, ...]) -> list[Row]:
    found = next((file.parent / name for name in names if (file.parent / name).is_file()), None)
    return read_rows(found) if found else []


def _from_hub(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(NAME)
    for row in rows:
        key, ref = str(row.key("question_id")), cell_ref(row, "image")
        context, reference = _text(row, "caption"), _text(row, "gpt_answer")
        yield _sample(
            ids, row, key, row.text("question"), context, reference, ref, _text(row, "image_id")
        )


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(NAME)
    for row in rows:
        key, ref = str(row.key("index")), cell_ref(row, "image")
        context, reference = _text(row, "caption"), _text(row, "gpt4_ans")
        yield _sample(ids, row, key, row.text("question"), context, reference, ref, None)


def _text(row: Row, name: str) -> str | None:
    """A text, or the lines of a list of texts; None where there is none."""
    value = listed(row.values.get(name))
    if isinstance(value, list | tuple) and all(isinstance(x, str) for x in value):
        return "\n".join(value)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{row.place}: field {name!r} must be text, got {value!r:.80}")
    return value


def _sample(
    ids: SampleIds,
    row: Row,
    key: str,
    question: str,
    context: str | None,
    reference: str | None,
    image: ImageRef | None,
    name: str | None,
) -> Sample:
    category = row.text("category").removeprefix("llava_bench_")
    extra: dict[str, Any] = {"context": context}
    if name:
        extra["image"] = name
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=question,
        question_id=key,
        answers=() if reference is None else (reference,),
        category=category,
        extra=extra,
    )


DatasetCatalog.register(NAME, load_llavabench)
MetadataCatalog.get(NAME).set(
    pipeline="llavabench",
    evaluator_type="llavabench",
    benchmark="llavabench",
    answer_type="text",
    description="LLaVA-Bench in the wild: 60 open questions on 24 images, scored by a judge",
    expected={"questions": {"conv": 17, "detail": 15, "complex": 28}, "images": 24},
    published=[
        *published(
            "all",
            "percent of the reference",
            (
                ("LLaVA-1.5-7B", 63.4, _PAPER),
                ("LLaVA-1.5-13B", 70.7, _PAPER),
                ("MMFuser-7B", 65.5, MMFUSER),
                ("CoLLaVO-7B", 69.5, "ByungKwanLee's later papers, as they quote CoLLaVO"),
                ("Bard-0718", 77.8, _DOCS),
                ("Bing-Chat-0629", 71.5, _DOCS),
            ),
        ),
        *published("conv", "percent of the reference", (("Bard-0718", 83.7, _DOCS),)),
        *published("detail", "percent of the reference", (("Bard-0718", 69.7, _DOCS),)),
        *published("complex", "percent of the reference", (("Bard-0718", 78.7, _DOCS),)),
    ],
)
