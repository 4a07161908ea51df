"""MMBench: multiple choice over 20 abilities, asked in rotated order (Liu et al., 2023).

Layouts under `<root>/MMBench`: the organisers' tables, of 2023 (CoLLaVO, LLaVA) or newer
(VLMEvalKit), one row a question and rotation, images in base64; a copy of lmms-lab/MMBench.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from collavo.datasets.registration.choices import (
    CODEFUSE,
    COLLAVO,
    CONVLLAVA,
    MMFUSER,
    XMODEL,
    annotations_layout,
    first_file,
    optional_text,
    pandas_lettered,
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
    tsv_rows,
)
from collavo.datasets.registration.readers.rows import Row
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import Sample, one_image

COPY = 1_000_000
"""What is added to the index of a question for each rotation of its options."""

NOT_SUBMITTED = frozenset(("hint", "category", "source", "image", "comment", "l2-category"))
"""Columns that LLaVA's converter leaves out of the file for the server."""

_LETTERS = "ABCDE"
_FOLDERS = ("MMBench", "mmbench")

_FILES = {
    "mmbench": (
        "mmbench_dev_20230712.tsv",
        ("MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv", "MMBench_DEV_EN_legacy.tsv"),
        ("en", "dev"),
    ),
    "mmbench_cn": (
        "mmbench_dev_cn_20231003.tsv",
        ("MMBench_DEV_CN.tsv", "MMBench_DEV_CN_V11.tsv", "MMBench_DEV_CN_legacy.tsv"),
        ("cn", "dev"),
    ),
    "mmbench_test": (
        "MMBench_TEST_EN_legacy.tsv",
        ("MMBench_TEST_EN.tsv", "MMBench_TEST_EN_V11.tsv", "mmbench_test_20230712.tsv"),
        ("en", "test"),
    ),
    "mmbench_test_cn": (
        "MMBench_TEST_CN_legacy.tsv",
        ("MMBench_TEST_CN.tsv", "MMBench_TEST_CN_V11.tsv", "mmbench_test_cn_20231003.tsv"),
        ("cn", "test"),
    ),
}


def load_mmbench(name: str) -> list[Sample]:
    """Reads one of the four splits; every rotation of a question is a sample.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    original, newer, (config, split) = _FILES[name]

    def read(rows: Iterable[Row]) -> list[Sample]:
        return repeated(_samples(rows, name))

    layouts = [
        Layout(
            "original", first_file(original), lambda f: read(tsv_rows(f)), original, in_root=True
        ),
        hf_layout(split, read, config),
        tsv_layout(newer, read),
    ]
    if name == "mmbench":
        layouts.append(annotations_layout(read))
    return load_layouts(name, _FOLDERS, layouts)


def _samples(rows: Iterable[Row], name: str) -> Iterator[Sample]:
    for row in rows:
        index = _index(row)
        choices = pandas_lettered(row, _LETTERS)
        written = {x: str(row.values[x]) for x in _LETTERS if row.values.get(x)}
        if not written:
            raise DataError(f"{row.place}: the question has no option in columns A, B, ...")
        answer = optional_text(row, "answer")
        extra: dict[str, Any] = {
            "hint": optional_text(row, "hint"),
            "choices": choices,
            "group": str(index % COPY),
            "split": optional_text(row, "split"),
            "l2-category": optional_text(row, "l2-category", "L2-category"),
            "submitted": {
                column: value
                for column, value in row.values.items()
                if column.lower() not in NOT_SUBMITTED
            },
        }
        if written != choices:
            extra["written"] = written
        yield Sample(
            sample_id=f"{name}:{index}",
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=index,
            options=tuple(choices.values()),
            # the right option counts even where the official reader does not list it
            answers=right_letter(answer, written, row.place),
            category=optional_text(row, "category"),
            extra=extra,
        )


def _index(row: Row) -> int:
    text = str(row.key("index")).strip().removesuffix(".0")
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise DataError(f"{row.place}: the index must be a whole number, got {text!r:.40}")
    return int(text)


def _loader(name: str) -> Callable[[], list[Sample]]:
    return lambda: load_mmbench(name)


_EN = [
    ("CoLLaVO-7B", 0.830, COLLAVO),
    ("LLaVA-1.5-7B", 0.643, COLLAVO),
    ("LLaVA-1.5-13B", 0.677, COLLAVO),
    ("Qwen-VL-7B", 0.382, COLLAVO),
    ("Qwen-VL-Chat-7B", 0.606, COLLAVO),
    ("ShareGPT4V-7B", 0.688, COLLAVO),
    ("InternLM-XC-7B", 0.744, COLLAVO),
    ("LLaVA-XTuner-20B", 0.751, COLLAVO),
    ("InstructBLIP-7B", 0.360, COLLAVO),
    ("CodeFuse-VLM-14B", 0.757, CODEFUSE),
    ("Xmodel_VLM", 0.520, XMODEL),
    ("MMFuser-7B", 0.675, MMFUSER),
    ("MMFuser-13B", 0.699, MMFUSER),
    ("ConvLLaVA-7B (768)", 0.680, CONVLLAVA),
    ("ConvLLaVA-7B (1024)", 0.688, CONVLLAVA),
    ("ConvLLaVA-7B (1536)", 0.687, CONVLLAVA),
]
_CN = [
    ("CoLLaVO-7B", 0.821, COLLAVO),
    ("LLaVA-1.5-7B", 0.583, COLLAVO),
    ("LLaVA-1.5-13B", 0.636, COLLAVO),
    ("Qwen-VL-7B", 0.074, COLLAVO),
    ("Qwen-VL-Chat-7B", 0.567, COLLAVO),
    ("ShareGPT4V-7B", 0.622, COLLAVO),
    ("InternLM-XC-7B", 0.724, COLLAVO),
    ("LLaVA-XTuner-20B", 0.737, COLLAVO),
    ("InstructBLIP-7B", 0.237, COLLAVO),
    ("CodeFuse-VLM-14B", 0.698, CODEFUSE),
    ("Xmodel_VLM", 0.457, XMODEL),
    ("MMFuser-7B", 0.601, MMFUSER),
    ("MMFuser-13B", 0.638, MMFUSER),
]

_RELEASES = {
    "the release of July 2023, 1,176 questions in their rotations": 4377,
    "the releases after July 2023, 1,164 questions in their rotations": 4329,
    "1,164 questions without their rotations": 1164,
    "1,784 questions without their rotations": 1784,
}
"""What other files of the same name hold, by rows."""

for _name, _rows, _figures, _about in (
    ("mmbench", 4377, _EN, "English, dev"),
    ("mmbench_cn", 4329, _CN, "Chinese, dev"),
    ("mmbench_test", 6666, [], "English, test: answers are scored by the organisers"),
    ("mmbench_test_cn", 6666, [], "Chinese, test: answers are scored by the organisers"),
):
    DatasetCatalog.register(_name, _loader(_name))
    MetadataCatalog.get(_name).set(
        pipeline="mmbench",
        evaluator_type="mmbench",
        benchmark="mmbench",
        config_block="MMBENCH",
        answer_type="choice",
        language="cn" if "cn" in _name else "en",
        description=f"MMBench: multiple choice in every rotation of the options; {_about}",
        expected={"questions": _rows, "other_releases": _RELEASES},
        published=published("circular_accuracy", "fraction", _figures),
    )
