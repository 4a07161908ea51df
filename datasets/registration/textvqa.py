"""TextVQA: questions about text in images (Singh et al., 2019, arXiv:1904.08920).

Layouts under `<root>/TextVQA`: CoLLaVO's `llava_textvqa_val_v051_ocr.json` beside the authors'
`TextVQA_0.5.1_val.json`; the latter alone, with `TextVQA_Rosetta_OCR_v0.2_val.json` for the OCR
tokens where it is there; LLaVA's list alone, without answers; lmms-lab/textvqa; VLMEvalKit's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answers import without_suffix
from collavo.datasets.registration.choices import (
    CODEFUSE,
    COLLAVO,
    CONVLLAVA,
    MMFUSER,
    XMODEL,
    first_file,
    published,
)
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.vqa_fields import (
    Images,
    SampleIds,
    below,
    list_of,
    rows_in,
    texts_of,
)
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

_NAME = "textvqa_val"
_GOLD = ("TextVQA_0.5.1_val.json", "annotations/TextVQA_0.5.1_val.json")
_OCR = ("TextVQA_Rosetta_OCR_v0.2_val.json", "annotations/TextVQA_Rosetta_OCR_v0.2_val.json")
_LLAVA = ("llava_textvqa_val_v051_ocr.json", "llava_textvqa_val_v051_ocr.jsonl")
_TOKENS = "Reference OCR token:"
_IMAGES = ("train_images", "train_val_images/train_images", "images")


def load_textvqa() -> list[Sample]:
    """Reads TextVQA's validation questions.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken, or files are of different releases.
    """
    find_gold, find_llava = first_file(*_GOLD), first_file(*_LLAVA)

    def find_both(folder: Path) -> tuple[Path, Path] | None:
        gold, llava = find_gold(folder), find_llava(folder)
        return (gold, llava) if gold and llava else None

    layouts = (
        Layout("original", find_both, _from_both, f"{_LLAVA[0]} and {_GOLD[0]}"),
        Layout("authors", find_gold, _from_gold, f"{_GOLD[0]}, train_images/"),
        Layout("llava", find_llava, _from_llava, _LLAVA[1]),
        hf_layout("validation", _from_hub),
        tsv_layout(("TextVQA_VAL.tsv",), _from_table),
    )
    return load_layouts(_NAME, ("TextVQA", "textvqa"), layouts)


def _from_gold(file: Path) -> list[Sample]:
    folder = file.parent.parent if file.parent.name == "annotations" else file.parent
    ocr = first_file(*_OCR)(folder)
    tokens: dict[str, Sequence[Any]] = {}
    for row in rows_in(read_json(ocr), ocr, "data") if ocr else ():
        tokens[str(row.key("image_id"))] = list_of(row, "ocr_tokens")
    images, ids = Images(below(folder, *_IMAGES)), SampleIds(_NAME)
    samples = []
    for row in rows_in(read_json(file), file, "data"):
        image = str(row.key("image_id"))
        ref = images.ref(f"{image}.jpg", row.place)
        samples.append(_sample(ids, row, ref, tokens.get(image)))
    return samples


def _sample(
    ids: SampleIds, row: Row, image: ImageRef | None, tokens: Sequence[Any] | None
) -> Sample:
    key = row.key("question_id")
    name = str(row.key("image_id"))
    extra: dict[str, Any] = {"image": f"{name}.jpg", "other_ids": (name,)}
    if tokens is not None:
        extra["ocr_tokens"] = tuple(str(token) for token in tokens)
    return Sample(
        sample_id=ids.of(key),
        images=one_image(image),
        question=row.text("question"),
        question_id=key,
        answers=texts_of(row, "answers"),
        extra=extra,
    )


def _from_both(files: tuple[Path, Path]) -> Iterator[Sample]:
    """Asks what LLaVA's list asks, joined with the answers by image and question.

    Source: the key is that of haotian-liu/LLaVA eval_textvqa.py.
    """
    gold, asked = files
    known = {(s.extra["other_ids"][0], s.question.lower()): s for s in _from_gold(gold)}
    ids = SampleIds(_NAME)
    for row in read_rows(asked):
        text = row.text("text", "question")
        name = str(row.key("question_id"))
        sample = known.get((name, question_in(text, row.place).lower()))
        if sample is None:
            raise DataError(
                f"{row.place}: {gold.name} has no question about {name!r} like {text[:80]!r}; "
                f"take both files from one release, or remove {asked.name}"
            )
        extra = {**sample.extra, "llava_text": text}
        yield replace(sample, sample_id=ids.of(sample.question_id), extra=extra)


def _from_llava(file: Path) -> Iterator[Sample]:
    images, ids = Images(below(file.parent, *_IMAGES)), SampleIds(_NAME)
    for row in read_rows(file):
        text = row.text("text", "question")
        image = row.text("image")
        key = row.key("question_id")
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(images.ref(image, row.place)),
            question=question_in(text, row.place),
            question_id=key,
            extra={"image": image, "llava_text": text},
        )


def question_in(prompt: str, place: str) -> str:
    """Returns the question of one of LLaVA's prompts.

    Raises:
        DataError: There is none.
    """
    lines = [
        line
        for line in without_suffix(prompt).split("\n")
        if line.strip() and not line.startswith(_TOKENS)
    ]
    if not lines:
        raise DataError(f"{place}: there is no question in {prompt[:80]!r}")
    return lines[0]


def _from_hub(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for row in rows:
        tokens = list_of(row, "ocr_tokens") if "ocr_tokens" in row.values else None
        yield _sample(ids, row, cell_ref(row, "image"), tokens)


def _from_table(rows: Iterable[Row]) -> Iterator[Sample]:
    ids = SampleIds(_NAME)
    for row in rows:
        key = short_index(row)
        yield Sample(
            sample_id=ids.of(key),
            images=one_image(cell_ref(row, "image")),
            question=row.text("question"),
            question_id=key,
            answers=texts_of(row, "answer", "answers", lists=True),
        )


DatasetCatalog.register(_NAME, load_textvqa)
MetadataCatalog.get(_NAME).set(
    pipeline="textvqa",
    evaluator_type="vqa_accuracy",
    benchmark="textvqa",
    config_block="TEXTVQA",
    answer_type="text",
    description="TextVQA: questions that need the text in the image, with ten answers each",
    expected={"questions": 5000, "images": 3166},
    published=published(
        "accuracy",
        "percent",
        (
            ("CoLLaVO-7B", 64.2, COLLAVO),
            ("LLaVA-1.5-7B", 58.2, COLLAVO),
            ("LLaVA-1.5-13B", 61.3, COLLAVO),
            ("BLIP2-13B", 42.5, COLLAVO),
            ("InstructBLIP-7B", 50.1, COLLAVO),
            ("Qwen-VL-7B", 63.8, COLLAVO),
            ("Qwen-VL-Chat-7B", 61.5, COLLAVO),
            ("CodeFuse-VLM-14B", 63.9, CODEFUSE),
            ("Xmodel_VLM-1.1B", 39.9, XMODEL),
            ("MMFuser-7B", 58.8, MMFUSER),
            ("MMFuser-13B", 59.9, MMFUSER),
            ("ConvLLaVA-768-7B", 59.1, CONVLLAVA),
            ("ConvLLaVA-1024-7B", 62.5, CONVLLAVA),
            ("ConvLLaVA-1536-7B", 65.8, CONVLLAVA),
        ),
    ),
)
