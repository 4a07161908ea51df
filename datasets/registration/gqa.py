"""GQA: questions on scene graphs of real images (Hudson and Manning, 2019, arXiv:1902.09506).

Layouts under `<root>/GQA`: the authors' `testdev_balanced_questions.json` (and, where there is one,
a choices file) with `images/`; LLaVA's question list, without answers; the parquet files of
lmms-lab/GQA; VLMEvalKit's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    CODEFUSE,
    COLLAVO,
    MMFUSER,
    XMODEL,
    first_file,
    published,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_files,
    load_layouts,
    parquet_rows,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.vqa_fields import (
    Images,
    SampleIds,
    asked_in,
    below,
    home_of,
    list_of,
    mapping_of,
    texts_of,
)
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_NAME = "gqa_testdev_balanced"
_INNER = ("data", "questions1.2", "questions")
_QUESTIONS = [f"{x}testdev_balanced_questions.json" for x in ("", *(f"{i}/" for i in _INNER))]
_LLAVA = ("llava_gqa_testdev_balanced.jsonl", "llava_gqa_testdev_balanced.json")
_CHOICES = (
    "testdev_balanced_choices.json",
    "testdev_choices.json",
    "choices.json",
    "eval/testdev_choices.json",
)
_NO_STEP = ("exist", "query: name", "choose name")
"""Operations that eval.py does not count as steps of reasoning."""


def load_gqa() -> list[Sample]:
    """Reads GQA's balanced test-dev questions.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    layouts = (
        Layout("original", first_file(*_QUESTIONS), _from_questions, _QUESTIONS[0]),
        Layout(
            "llava", first_file(*_LLAVA, *(f"data/{n}" for n in _LLAVA)), _from_llava, _LLAVA[0]
        ),
        Layout("hf", _hub_files, _from_hub, "testdev_balanced_{images,instructions}/testdev-*"),
        tsv_layout(("GQA_TestDev_Balanced.tsv",), _from_table),
    )
    return load_layouts(_NAME, ("GQA", "gqa"), layouts)


def _from_questions(file: Path) -> Iterator[Sample]:
    questions = _objects(read_json(file), file)
    home = home_of(file, *_INNER)
    choices = next((home / n for n in _CHOICES if (home / n).is_file()), None)
    choice_of = _objects(read_json(choices), choices) if choices else {}
    images, ids = Images(below(home, "images", "data/images")), SampleIds(_NAME)
    for key, values in questions.items():
        row = Row(f"{file}, question {key!r}", _object(values, f"{file}, question {key!r}"))
        image = f"{row.key('imageId')}.jpg"
        extra = _facts(row) | {"image": image}
        if choices:
            found = _object(choice_of.get(key, {}), f"{choices}, question {key!r}")
            listed = Row(f"{choices}, question {key!r}", found)
            extra["choices"] = {n: texts_of(listed, n) for n in ("valid", "plausible")}
        yield _sample(ids, row, key, images.ref(image, row.place), extra)


def _facts(row: Row) -> dict[str, Any]:
    """Returns what eval.py needs of a question."""
    steps = [f"{s.get('operation')}: {s.get('argument')}" for s in _steps(row)]
    return {
        "balanced": row.values.get("isBalanced") is not False,
        "types": _texts(mapping_of(row, "types")),
        "groups": _texts(mapping_of(row, "groups")),
        "entailed": tuple(str(e) for e in _entailed(row)),
        "steps": sum(not any(word in step for word in _NO_STEP) for step in steps),
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _entailed(row: Row) -> Iterable[Any]:
    """The ids of entailed questions; a Python list as text in the hub's tables."""
    value = row.values.get("entailed")
    return (
        texts_of(row, "entailed", lists=True)
        if isinstance(value, str)
        else list_of(row, "entailed")
    )


def _steps(row: Row) -> list[Mapping[str, Any]]:
    return [_object(step, f"{row.place}, field 'semantic'") for step in list_of(row, "semantic")]


def _sample(
    ids: SampleIds, row: Row, key: str | int, image: ImageRef | None, extra: Mapping[str, Any]
) -> Sample:
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=row.text("question"),
        question_id=key,
        answers=texts_of(row, "answer"),
        extra=extra,
    )


def _from_llava(file: Path) -> Iterator[Sample]:
    images, ids = Images(below(home_of(file, "data"), "images", "data/images")), SampleIds(_NAME)
    for row in read_rows(file):
        image = row.text("image")
        key = row.key("question_id")
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(images.ref(image, row.place)),
            question=asked_in(row.text("text", "question")),
            question_id=key,
            extra={"image": image},
        )


def _hub_files(folder: Path) -> tuple[list[Path], list[Path]] | None:
    found = [
        hf_files(folder, "testdev", f"testdev_balanced_{part}")
        for part in ("images", "instructions")
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


def _from_hub(files: tuple[list[Path], list[Path]]) -> Iterator[Sample]:
    images = {str(row.key("id")): cell_ref(row, "image") for row in parquet_rows(files[0])}
    ids = SampleIds(_NAME)
    for row in parquet_rows(files[1]):
        image = str(row.key("imageId"))
        if images.get(image) is None:
            raise DataError(f"{row.place}: the images' files hold no image {image!r}")
        extra = _facts(row) | {"image": f"{image}.jpg"}
        yield _sample(ids, row, row.key("id"), images[image], extra)


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for row in rows:
        yield _sample(ids, row, short_index(row), cell_ref(row, "image"), {})


def _objects(value: Any, file: Path) -> Mapping[str, Any]:
    return _object(value, str(file))


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: expected an object, got {type(value).__name__}")
    return value


DatasetCatalog.register(_NAME, load_gqa)
MetadataCatalog.get(_NAME).set(
    pipeline="gqa",
    evaluator_type="gqa",
    benchmark="gqa",
    config_block="GQA",
    answer_type="text",
    description="GQA: compositional questions about real images, balanced test-dev split",
    expected={"questions": 12578, "images": 398},
    published=published(
        "accuracy_llava",
        "percent",
        (
            ("CoLLaVO-7B", 61.4, COLLAVO),
            ("LLaVA-1.5-7B", 62.0, COLLAVO),
            ("LLaVA-1.5-13B", 63.3, COLLAVO),
            ("BLIP2-13B", 42.4, COLLAVO),
            ("InstructBLIP-7B", 49.2, COLLAVO),
            ("Qwen-VL-7B", 59.3, COLLAVO),
            ("Qwen-VL-Chat-7B", 57.5, COLLAVO),
            ("CodeFuse-VLM-14B", 59.4, CODEFUSE),
            ("Xmodel_VLM-1.1B", 58.3, XMODEL),
            ("MMFuser-7B", 62.8, MMFUSER),
            ("MMFuser-13B", 63.4, MMFUSER),
        ),
    ),
)
