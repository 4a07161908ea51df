"""MM-Vet: open questions that need several abilities at once (Yu et al., 2023, arXiv:2308.02490).

Layouts under `<root>/mm-vet`: the authors' `mm-vet.json` and `images/`; with LLaVA's question list
`llava-mm-vet.json` (CoLLaVO) or `.jsonl` (LLaVA) beside it, its order is taken; a copy of
lmms-lab/MMVet; VLMEvalKit's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import COLLAVO, MMFUSER, XMODEL, first_file, published
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

NAME = "mm-vet"

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
"""Recognition, text, knowledge, language generation, spatial awareness, mathematics."""

CONVLLAVA = "arXiv:2405.15738, 1536 px"
AUTHORS_LATER = "ByungKwanLee's later papers (MoAI, TroL), as they quote CoLLaVO"

_FOLDERS = ("mm-vet", "mm-vet/mm-vet", "MM-Vet", "MMVet", "mmvet")
_ANNOTATIONS = ("mm-vet.json", "annotations.json")
_LISTS = ("llava-mm-vet.json", "llava-mm-vet.jsonl")


def load_mmvet() -> list[Sample]:
    """Reads MM-Vet.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    layouts = (
        Layout("original", first_file(*_LISTS), _listed, f"{_LISTS[0]}, images/"),
        Layout("authors", first_file(*_ANNOTATIONS), _annotated, f"{_ANNOTATIONS[0]}, images/"),
        hf_layout("test", _from_hub),
        tsv_layout(("MMVet.tsv",), _from_table),
    )
    return load_layouts(NAME, _FOLDERS, layouts)


def _annotated(file: Path) -> Iterator[Sample]:
    images, ids = Images(below(file.parent, "images")), SampleIds(NAME)
    for key, row in _annotations(file).items():
        image = row.text("imagename", "image")
        yield _sample(ids, key, row, images.ref(image, row.place), image)


def _annotations(file: Path) -> dict[str, Row]:
    value = read_json(file)
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        raise DataError(f"{file}: expected an object of questions by id (v1_0, v1_1, ...)")
    return {key: Row(f"{file}, question {key!r}", fields) for key, fields in value.items()}


def _listed(file: Path) -> Iterator[Sample]:
    """Yields the questions of LLaVA's list, with the answers of mm-vet.json where it is there."""
    truth = next((file.parent / n for n in _ANNOTATIONS if (file.parent / n).is_file()), None)
    known = _annotations(truth) if truth else {}
    images, ids = Images(below(file.parent, "images")), SampleIds(NAME)
    for row in read_rows(file):
        key, image = _key(row, "question_id"), row.text("image")
        if known and key not in known:
            raise DataError(
                f"{row.place}: {truth} holds no question {key!r}; take both of one release"
            )
        fields = {**(known[key].values if known else {}), "question": row.text("text", "question")}
        yield _sample(ids, key, Row(row.place, fields), images.ref(image, row.place), image)


def _from_hub(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(NAME)
    for row in rows:
        ref = cell_ref(row, "image")
        yield _sample(ids, _key(row, "question_id"), row, ref, ref.label if ref else "")


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(NAME)
    for row in rows:
        fields = {**row.values, "capability": row.values.get("category")}
        ref = cell_ref(row, "image")
        yield _sample(ids, _key(row, "index"), Row(row.place, fields), ref, "")


def _key(row: Row, name: str) -> str:
    """The authors' id: LLaVA's list and the tables number the questions."""
    key = str(row.key(name)).strip()
    return f"v1_{key.lstrip('0') or 0}" if key.isascii() and key.isdecimal() else key


def _sample(ids: SampleIds, key: str, row: Row, image: ImageRef | None, name: str) -> Sample:
    abilities = _capabilities(row)
    answer = row.values.get("answer")
    if answer is not None and (
        isinstance(answer, bool) or not isinstance(answer, str | int | float)
    ):
        raise DataError(f"{row.place}: field 'answer' must be text, got {answer!r:.80}")
    extra: dict[str, Any] = {"capability": abilities, "other_ids": (key.removeprefix("v1_"),)}
    if name:
        extra["image"] = name
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=row.text("question"),
        question_id=key,
        answers=() if answer is None else (str(answer),),
        category="_".join(abilities),
        extra=extra,
    )


def _capabilities(row: Row) -> tuple[str, ...]:
    """The abilities that a question needs, as a list or as text between commas; known ones first.

    Raises:
        DataError: They are neither.
    """
    value = row.values.get("capability")
    if value is None:
        return ()
    named = value.replace("_", ",").split(",") if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or not all(isinstance(x, str) for x in named):
        raise DataError(
            f"{row.place}: field 'capability' must be a list of names, got {value!r:.80}"
        )
    found = {name.strip() for name in named} - {""}
    return tuple(sorted(found, key=lambda x: (*(x != c for c in CAPABILITIES), x)))


DatasetCatalog.register(NAME, load_mmvet)
MetadataCatalog.get(NAME).set(
    pipeline="mm-vet",
    evaluator_type="mm-vet",
    benchmark="mm-vet",
    config_block="MMVET",
    answer_type="text",
    description="MM-Vet: 218 open questions that need several abilities, graded by a judge",
    expected={"questions": 218, "images": 200},
    published=[
        *published(
            "total",
            "percent",
            (
                ("CoLLaVO-7B", 40.3, COLLAVO),
                ("BLIP2-13B", 22.4, COLLAVO),
                ("InstructBLIP-7B", 26.2, COLLAVO),
                ("LLaVA-1.5-7B", 30.5, COLLAVO),
                ("LLaVA-1.5-13B", 35.4, COLLAVO),
                ("ShareGPT4V-7B", 37.6, COLLAVO),
                ("InternLM-XC-7B", 35.2, COLLAVO),
                ("LLaVA-XTuner-20B", 37.2, COLLAVO),
                ("Xmodel_VLM-1B", 21.8, XMODEL),
                ("MMFuser-7B", 32.6, MMFUSER),
                ("ConvLLaVA-7B", 44.8, "arXiv:2405.15738, 768 px"),
                ("ConvLLaVA-7B", 44.4, "arXiv:2405.15738, 1024 px"),
                ("ConvLLaVA-7B", 45.9, CONVLLAVA),
                ("CoLLaVO-7B", 41.0, AUTHORS_LATER),
            ),
        ),
        *(
            {
                "model": "CoLLaVO-7B",
                "metric": f"capabilities.{name}",
                "value": value,
                "unit": "percent",
                "source": AUTHORS_LATER,
            }
            for name, value in zip(CAPABILITIES, (45.6, 31.1, 29.8, 30.2, 37.9, 5.8), strict=True)
        ),
    ],
)
