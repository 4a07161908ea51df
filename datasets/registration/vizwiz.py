"""VizWiz-VQA: questions that blind people asked of their photos (Gurari et al., arXiv:1802.08218).

Layouts under `<root>/VizWiz`: the organisers' `Annotations/<split>.json` (or `<split>.json`, as
TroL has it) with `<split>/`; LLaVA's list of the test split; lmms-lab/VizWiz-VQA; VLMEvalKit's
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import (
    CODEFUSE,
    MMFUSER,
    XMODEL,
    first_file,
    published,
)
from collavo.datasets.registration.coco_vqa import table_samples
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.datasets.registration.vqa_fields import (
    Images,
    SampleIds,
    asked_in,
    below,
    home_of,
    rows_in,
    texts_of,
)
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.records import ImageRef, Sample, one_image

UNANSWERABLE = "When the provided information is insufficient, respond with 'Unanswerable'."
"""The sentence of LLaVA's prompts (haotian-liu/LLaVA docs/Evaluation.md)."""


def load_vizwiz(split: str) -> list[Sample]:
    """Reads VizWiz-VQA.

    Args:
        split: "val" or "test", whose answers are hidden.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    name = f"vizwiz_{split}"
    files = [f"{x}{split}.json" for x in ("Annotations/", "", "annotations/")]
    llava = [f"llava_{split}.jsonl", f"llava_{split}.json"]
    layouts = (
        Layout("original", first_file(*files), partial(_original, name, split), files[0]),
        Layout("llava", first_file(*llava), partial(_llava, name, split), llava[0]),
        hf_layout(split, _hub(name)),
        tsv_layout(
            ("VizWiz.tsv",) if split == "val" else ("VizWiz_TEST.tsv",), table_samples(name)
        ),
    )
    return load_layouts(name, ("VizWiz", "vizwiz"), layouts)


def _images(folder: Path, split: str) -> Images:
    return Images([*below(folder, split, f"Images/{split}", "images"), folder])


def _original(name: str, split: str, file: Path) -> Iterator[Sample]:
    images, ids = _images(home_of(file, "Annotations", "annotations"), split), SampleIds(name)
    for number, row in enumerate(rows_in(read_json(file), file, "data", "annotations")):
        image = row.text("image")
        yield _sample(ids, row, image, images.ref(image, row.place), row.text("question"), number)


def _llava(name: str, split: str, file: Path) -> Iterator[Sample]:
    images, ids = _images(file.parent, split), SampleIds(name)
    for row in read_rows(file):
        image = row.text("image")
        lines = asked_in(row.text("text", "question"), UNANSWERABLE)
        number = row.key("question_id")
        yield _sample(ids, row, image, images.ref(image, row.place), lines, number)


def _hub(name: str) -> Callable[[Iterable[Row]], Iterator[Sample]]:
    def read(rows: Iterable[Row]) -> Iterator[Sample]:
        ids = SampleIds(name)
        for number, row in enumerate(rows):
            image = f"{row.key('question_id')}.jpg"
            asked = row.text("question")
            yield _sample(ids, row, image, cell_ref(row, "image"), asked, number)

    return read


def _sample(
    ids: SampleIds, row: Row, image: str, ref: ImageRef | None, question: str, number: str | int
) -> Sample:
    """Makes one sample; LLaVA calls it by its number in the file, the hub by the image's stem."""
    extra: dict[str, Any] = {"image": image, "other_ids": (number, Path(image).stem)}
    kind = row.values.get("answer_type", row.values.get("category"))
    if isinstance(kind, str) and kind != "default":
        extra["answer_type"] = kind
    if isinstance(row.values.get("answerable"), int):
        extra["answerable"] = row.values["answerable"]
    return Sample(
        sample_id=ids.of(image),
        images=one_image(ref),
        question=question,
        question_id=image,
        answers=texts_of(row, "answers"),
        extra=extra,
    )


for _split, _count, _figures in (
    ("val", 4319, ()),
    (
        "test",
        8000,
        (
            ("LLaVA-1.5-7B", 50.0, "arXiv:2310.03744"),
            ("LLaVA-1.5-13B", 53.6, "arXiv:2310.03744"),
            ("CodeFuse-VLM-14B", 45.3, CODEFUSE),
            ("Xmodel_VLM-1.1B", 41.7, XMODEL),
            ("MMFuser-7B", 53.4, MMFUSER),
            ("MMFuser-13B", 57.4, MMFUSER),
        ),
    ),
):
    DatasetCatalog.register(f"vizwiz_{_split}", partial(load_vizwiz, _split))
    MetadataCatalog.get(f"vizwiz_{_split}").set(
        pipeline="vizwiz",
        evaluator_type="vizwiz",
        benchmark="vizwiz",
        config_block="VIZWIZ",
        answer_type="text",
        description="VizWiz-VQA: questions that blind people asked of their photos"
        + ("" if _split == "val" else "; hidden, for EvalAI"),
        expected={"questions": _count, "images": _count},
        published=published("accuracy", "percent", _figures),
    )
