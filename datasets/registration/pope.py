"""POPE: yes/no questions about one object each (Li et al., 2023, arXiv:2305.10355).

Layouts under `<root>/POPE`: the authors' `coco_pope_{random,popular,adversarial}.json`, also in
`coco/` (LLaVA) or `output/coco/` (the authors' repository), alone or with a question file:
`new_pope_test.json` (CoLLaVO) or `llava_pope_test.jsonl` (LLaVA), images in `coco2014/val2014`; or
the parquet files of `lmms-lab/POPE`, or VLMEvalKit's `POPE.tsv`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.answers import same_question, without_suffix
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_layout,
    load_layouts,
    tsv_layout,
)
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.roots import Root, find_file, image_ref, root
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

logger = logging.getLogger(__name__)

SPLITS = ("random", "popular", "adversarial")

LLAVA_OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}
"""What LLaVA's question file adds to the ids of a split (haotian-liu/LLaVA, eval.zip)."""

LEGACY_RANDOM = 2910
"""Questions in the random split before the authors completed it to 3,000 (AoiDragon/POPE)."""

_FOLDERS = ("POPE", "pope")
_LABELS = ("", "coco/", "output/coco/", "annotations/")
_ENDS = ("", "l")
_QUESTIONS = ("new_pope_test.json", "new_pope_test.jsonl")
_LLAVA_QUESTIONS = ("llava_pope_test.jsonl", "llava_pope_test.json")
_IMAGES = ("coco2014/val2014", "COCO/val2014", "coco/val2014", "val2014", "POPE/val2014")


def load_pope(splits: tuple[str, ...] = SPLITS) -> list[Sample]:
    """Reads POPE's questions and labels.

    Raises:
        MissingFileError: A file is not there.
        DataError: A file or a record is broken, or questions have no label.
    """
    return load_layouts(
        "pope_test",
        _FOLDERS,
        (
            Layout("original", _find, lambda folder: _read(folder, splits), "coco_pope_*.json"),
            hf_layout("test", lambda rows: _from_table(rows, splits)),
            tsv_layout(("POPE.tsv",), lambda rows: _from_table(rows, splits)),
        ),
    )


def _find(folder: Path) -> Path | None:
    names = (
        f"{inner}coco_pope_{s}.json{end}" for s in SPLITS for inner in _LABELS for end in _ENDS
    )
    return folder if any((folder / name).is_file() for name in names) else None


def _read(folder: Path, splits: tuple[str, ...]) -> list[Sample]:
    place = root()
    labelled = [row for split in splits for row in _labelled(folder, split, place)]
    for names, required in ((_QUESTIONS, True), (_LLAVA_QUESTIONS, False)):
        file = next((folder / name for name in names if (folder / name).is_file()), None)
        if file is not None:
            return _asked(labelled, file, required, splits)
    return labelled


def _from_table(rows: Iterable[Row], splits: tuple[str, ...]) -> list[Sample]:
    """Reads Hugging Face's rows, or VLMEvalKit's, of which one may stand for several splits.

    VLMEvalKit's rows have numbers of their own, which are no ids of a split.
    """
    seen: Counter[str] = Counter()
    refs: dict[str, ImageRef | None] = {}
    samples = []
    for row in rows:
        named = _image_name(row)
        ref = refs.setdefault(named, cell_ref(row, "image")) if named else cell_ref(row, "image")
        number = row.key("question_id", "index")
        inner = "" if row.values.get("question_id") is not None else "index-"
        for part in row.text("category").split(","):
            split = part.strip().lower()
            if split not in SPLITS:
                raise DataError(
                    f"{row.place}: {part!r} is no split of POPE; its splits: {', '.join(SPLITS)}"
                )
            if split in splits:
                key = f"{split}/{inner}{number}"
                seen[key] += 1
                samples.append(_sample(row, split, key, seen[key], ref, ""))
    return sorted(samples, key=lambda sample: splits.index(sample.category))


def _labelled(folder: Path, split: str, place: Root) -> list[Sample]:
    """Reads the label file of one split, which by itself is the whole split."""
    name = f"coco_pope_{split}.json"
    names = [f"{inner}{name}{end}" for inner in _LABELS for end in _ENDS]
    file = find_file(folder, *names, what=f"POPE's {split} split, {name},")
    images = next((place.path / x for x in _IMAGES if (place.path / x).is_dir()), None)
    images = images or place.path / _IMAGES[0]

    rows = read_rows(file)
    release = _release(split, len(rows))
    seen: Counter[str] = Counter()
    refs: dict[str, ImageRef] = {}
    samples = []
    for row in rows:
        image = row.text("image")
        if image not in refs:
            refs[image] = image_ref(images, image, row.place)
        key = f"{split}/{row.key('question_id')}"
        seen[key] += 1
        samples.append(_sample(row, split, key, seen[key], refs[image], release))
    return samples


def _sample(
    row: Row, split: str, key: str, nth: int, image: ImageRef | None, release: str
) -> Sample:
    label = row.text("label", "answer").strip().lower()
    if label not in ("yes", "no"):
        raise DataError(f"{row.place}: the label must be 'yes' or 'no', got {label!r}")
    number = row.key("question_id", "index")
    extra: dict[str, Any] = {"release": release, "image": _image_name(row), "other_ids": (key,)}
    if row.values.get("question_id") is not None:
        extra["llava_id"] = (
            LLAVA_OFFSETS[split] + int(number) if str(number).isdecimal() else number
        )
    return Sample(
        sample_id=f"pope_test:{key}" + (f"#{nth}" if nth > 1 else ""),
        images=one_image(image),
        question=without_suffix(row.text("text", "question")),
        question_id=number,
        answers=(label,),
        category=split,
        extra=extra,
    )


def _image_name(row: Row) -> str:
    """The image's file name, "" where the row has none."""
    for column in ("image", "image_source", "image_path"):
        name = row.values.get(column)
        if isinstance(name, str) and name:
            return name if "." in name else f"{name}.jpg"
    return ""


def _release(split: str, count: int) -> str:
    """Names the release of the random split, of which an older one has 2,910 questions."""
    if split != "random":
        return ""
    return {LEGACY_RANDOM: "legacy (2,910)", 3000: "current (3,000)"}.get(count, f"other ({count})")


def _asked(
    labelled: list[Sample], file: Path, required: bool, splits: tuple[str, ...]
) -> list[Sample]:
    """Keeps the samples that the question file asks, in its order.

    Raises:
        DataError: The file asks what the label files do not hold (a mixture of releases).
    """
    index: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in labelled:
        key = (sample.category, str(sample.extra["image"]), same_question(sample.question))
        index.setdefault(key, []).append(sample)
    asked, strangers = [], []
    for row in read_rows(file):
        split = row.text("category").strip().lower()
        if split in SPLITS and split not in splits:
            continue
        key = (split, row.text("image"), same_question(row.text("text", "question")))
        # Each labelled question serves one asked question; repeats take the next one.
        if index.get(key):
            asked.append(index[key].pop(0))
        else:
            strangers.append(row.place)
    if not strangers:
        return asked
    message = (
        f"{file} asks {len(strangers)} questions that POPE's label files do not hold "
        f"(first: {strangers[0]}); the files are of different releases"
    )
    if required:
        raise DataError(f"{message}: take all from one release, or remove {file.name}")
    logger.warning("%s; the label files alone are used", message)
    return labelled


DatasetCatalog.register("pope_test", load_pope)
MetadataCatalog.get("pope_test").set(
    pipeline="pope",
    evaluator_type="pope",
    benchmark="pope",
    config_block="POPE",
    answer_type="yes_no",
    description="POPE: yes/no questions about objects in COCO val2014 images, three splits",
    expected={
        "questions": {"random": 3000, "popular": 3000, "adversarial": 3000},
        "images": 500,
        "other_releases": {"the release before 2024, with 2,910 random questions": 8910},
    },
    published=[
        {"model": model, "metric": metric, "value": value, "unit": "fraction", "source": source}
        for model, metric, value, source in (
            ("CoLLaVO-7B", "mean_accuracy", 0.872, "arXiv:2402.11248, Table 1"),
            ("CoLLaVO-7B", "random.accuracy", 0.874, "arXiv:2402.11248, Table 5"),
            ("CoLLaVO-7B", "random.f1", 0.858, "arXiv:2402.11248, Table 5"),
            ("CoLLaVO-7B", "popular.accuracy", 0.876, "arXiv:2402.11248, Table 5"),
            ("CoLLaVO-7B", "popular.f1", 0.861, "arXiv:2402.11248, Table 5"),
            ("CoLLaVO-7B", "adversarial.accuracy", 0.868, "arXiv:2402.11248, Table 5"),
            ("CoLLaVO-7B", "adversarial.f1", 0.852, "arXiv:2402.11248, Table 5"),
            ("LLaVA-1.5-7B", "mean_f1", 0.859, "arXiv:2402.11248, Table 1"),
            ("LLaVA-1.5-13B", "mean_f1", 0.859, "arXiv:2402.11248, Table 1"),
            ("MMFuser-7B", "mean_f1", 0.863, "arXiv:2410.11829"),
        )
    ],
)
