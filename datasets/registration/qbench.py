"""Q-Bench A1 (LLVisionQA): low-level vision, in English and Chinese (Wu et al., 2023).

Layouts under `<root>/LLVisionQA-QBench`: the authors' lists with `images/`, which CoLLaVO and LLaVA
read; a copy of q-future/Q-Bench-HF (English); VLMEvalKit's table (English).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answers import same_question
from collavo.datasets.registration.choices import (
    ANNOTATIONS,
    COLLAVO,
    LETTERS,
    by_letter,
    first_file,
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
from collavo.datasets.registration.readers.cells import NoCell
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

TYPES = ("yes-or-no", "what", "how")
CONCERNS = ("distortion", "other", "in-context distortion", "in-context other")

_FOLDERS = ("LLVisionQA-QBench", "LLVisionQA", "Q-Bench", "qbench")
_FILES = {
    "qbench_dev": ("llvisionqa_dev.json",),
    "qbench_test": ("llvisionqa_test.json",),
    "qbench_cn_dev": ("质衡-问答-验证集.json", "llvisionqa_cn_dev.json"),
    "qbench_cn_test": ("质衡-问答-测试集.json", "llvisionqa_cn_test.json"),
}
_TABLES = {"qbench_dev": "Q-Bench1_VAL.tsv", "qbench_test": "Q-Bench1_TEST.tsv"}
_NOTHING = "N/A"
"""What the hub's copy writes where there is no third or fourth option."""


def load_qbench(name: str) -> list[Sample]:
    """Reads one of the four splits.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    files = _FILES[name]

    def read(rows: Iterable[Row], folder: Path) -> list[Sample]:
        return repeated(_sample(row, name, folder) for row in rows)

    layouts = [
        Layout("original", first_file(*files), lambda f: read(read_rows(f), f.parent), files[0])
    ]
    if name in _TABLES:
        split = name.removeprefix("qbench_")
        layouts += [
            hf_layout(split, lambda rows: repeated(_hf_samples(rows, name))),
            tsv_layout((_TABLES[name],), lambda rows: repeated(_tsv_samples(rows, name))),
        ]
    if name == "qbench_dev":
        find = first_file(*ANNOTATIONS)
        names = " or ".join(ANNOTATIONS)
        layouts.append(Layout("annotations", find, lambda f: read(read_rows(f), f.parent), names))
    return load_layouts(name, _FOLDERS, layouts)


def _sample(row: Row, name: str, folder: Path) -> Sample:
    options = texts_of(row, "candidates")
    image, question = row.text("img_path"), row.text("question")
    right = row.values.get("correct_ans")
    extra: dict[str, Any] = {"image": image, "row": dict(row.values)}
    return Sample(
        sample_id=f"{name}:{image}/{same_question(question)}",
        images=one_image(_image(folder, image, row.place)),
        question=question,
        # the image's name as an id would also be its number: 10.jpg and row 10 are two
        question_id=image if row.values.get("id") is None else row.key("id"),
        options=options,
        answers=() if right is None else (_letter(right, options, row.place),),
        category=_kind(row, TYPES, "type"),
        extra=extra | {"concern": _kind(row, CONCERNS, "concern")},
    )


def _image(folder: Path, name: str, place: str) -> ImageRef:
    if name.lower().startswith(("http://", "https://")):
        reason = f"{place}: the image is to be fetched from {name}; put it into images/ yourself"
        return ImageRef(cell=NoCell(reason), name=name)
    return image_in([folder / "images"], name, place)


def _letter(right: Any, options: tuple[str, ...], place: str) -> str:
    """The letter of the right option, which is given as its text."""
    texts = [option.strip().casefold() for option in options]
    if right in options:
        return LETTERS[options.index(right)]
    if isinstance(right, str) and right.strip().casefold() in texts:
        return LETTERS[texts.index(right.strip().casefold())]
    raise DataError(f"{place}: 'correct_ans' {right!r:.60} is none of the candidates {options!r}")


def _kind(row: Row, names: tuple[str, ...], *fields: str) -> str:
    for field in fields:
        if row.values.get(field) is not None:
            number = str(row.key(field)).strip()
            if number in "0123"[: len(names)] and len(number) == 1:
                return names[int(number)]
            raise DataError(f"{row.place}: {field!r} must be 0 to {len(names) - 1}, got {number!r}")
    return ""


def _hf_samples(rows: Iterable[Row], name: str) -> Iterator[Sample]:
    for row in rows:
        named = [row.values.get(f"option{number}") for number in range(4)]
        options = tuple(str(x) for x in named if x is not None and x != _NOTHING)
        right = row.values.get("correct_choice")
        known = right not in (None, "", _NOTHING)
        yield Sample(
            sample_id=f"{name}:{row.key('id')}",
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=row.key("id"),
            options=options,
            answers=right_letter(right, by_letter(options), row.place) if known else (),
            category=_kind(row, TYPES, "question_type"),
            extra={
                "concern": _kind(row, CONCERNS, "question_concern"),
                "row": {k: v for k, v in row.values.items() if k != "image"},
            },
        )


def _tsv_samples(rows: Iterable[Row], name: str) -> Iterator[Sample]:
    for row in rows:
        options = lettered(row)
        answer = optional_text(row, "answer")
        yield Sample(
            sample_id=f"{name}:{row.key('index')}",
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=row.key("index"),
            options=tuple(options.values()),
            answers=right_letter(answer, options, row.place),
            category=optional_text(row, "category"),
            extra={"choices": options, "row": {"question": row.text("question"), **options}},
        )


def _loader(name: str) -> Callable[[], list[Sample]]:
    return partial(load_qbench, name)


_FIGURES = [
    ("CoLLaVO-7B", 67.6, COLLAVO),
    ("LLaVA-1.5-7B", 58.7, COLLAVO),
    ("LLaVA-1.5-13B", 62.1, COLLAVO),
    ("InstructBLIP-7B", 56.7, COLLAVO),
    ("Qwen-VL-7B", 59.4, COLLAVO),
    ("ShareGPT4V-7B", 63.4, COLLAVO),
    ("InternLM-XC-7B", 64.4, COLLAVO),
]

for _name, _about in (
    ("qbench_dev", "English, dev"),
    ("qbench_test", "English, test: answers are scored by the authors"),
    ("qbench_cn_dev", "Chinese, dev"),
    ("qbench_cn_test", "Chinese, test: answers are scored by the authors"),
):
    DatasetCatalog.register(_name, _loader(_name))
    MetadataCatalog.get(_name).set(
        pipeline="qbench",
        evaluator_type="qbench",
        benchmark="qbench",
        config_block="QBENCH",
        answer_type="choice",
        language="cn" if "cn" in _name else "en",
        description=f"Q-Bench A1: multiple choice about the quality of images; {_about}",
        expected={"questions": 1495, "images": 1495},
        published=published("accuracy", "percent", _FIGURES if _name == "qbench_dev" else []),
    )
