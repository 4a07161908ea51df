"""RefCOCO, RefCOCO+ and RefCOCOg: boxes of what a sentence refers to, in COCO train2014 images.

Layouts under `<root>/RefCOCO`: one JSON row a sentence (`REC_refcoco_unc_val.jsonl`, or Qwen-VL's
`refcoco_val.jsonl`); the authors' release (`refcoco/refs(unc).p` and `instances.json`); a copy of
lmms-lab/RefCOCO, RefCOCOplus or RefCOCOg; VLMEvalKit's table; labelled rows in `annotations.jsonl`.
Sources: Kazemzadeh et al., 2014; Yu et al., 2016, arXiv:1608.00272; Mao et al., arXiv:1511.02283.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from collavo.datasets.registration.choices import CONVLLAVA, MMFUSER, annotations_layout, first_file
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_files,
    load_layouts,
    parquet_rows,
    tsv_layout,
)
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.refer import read_refer
from collavo.datasets.registration.readers.rows import Row, read_rows
from collavo.datasets.registration.readers.tsv import short_index
from collavo.datasets.registration.ref_rows import (
    IMAGES,
    box_sample,
    labelled_boxes,
    numbers_of,
    size_in,
)
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below, list_of
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import Sample

_FOLDERS = ("RefCOCO", "refcoco")


@dataclass(frozen=True)
class RefSplit:
    """One split of one of the three sets.

    Args:
        short: What our names begin with: "refcoco", "refcocop", "refcocog".
        names: How files call the set, the usual one first.
        by: Who made the split: "unc" or "umd".
        split: "val", "testA", "testB" or "test".
    """

    short: str
    names: tuple[str, ...]
    by: str
    split: str

    @property
    def dataset(self) -> str:
        """The registered name."""
        return f"{self.short}_{self.split}"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders below the root that may hold it."""
        return tuple(dict.fromkeys((*_FOLDERS, *self.names)))


def load_refcoco(which: RefSplit) -> list[Sample]:
    """Reads one split, one sample a sentence.

    Raises:
        MissingFileError: No layout's files are there.
        DataError: A file or a record is broken.
    """
    names, split = which.names, which.split
    rows = [f"REC_{name}_{which.by}_{split}.jsonl" for name in names]
    rows += [f"{inner}{name}_{split}.jsonl" for name in names for inner in ("", f"{name}/")]
    hub = f"{names[-1]}/[data/]{split}-*.parquet"
    layouts = (
        Layout("original", first_file(*rows), partial(_from_rows, which), rows[0]),
        Layout(
            "authors",
            partial(_find_refer, which),
            partial(_from_refer, which),
            f"{names[0]}/refs({which.by}).p, {names[0]}/instances.json",
        ),
        Layout(
            "hf", partial(_find_hub, which), partial(_from_hub, which), f"{hub}{split}-*.parquet"
        ),
        tsv_layout(("RefCOCO.tsv",), partial(_from_table, which)),
        annotations_layout(partial(labelled_boxes, which.dataset)),
    )
    return load_layouts(which.dataset, which.folders, layouts)


def _from_rows(which: RefSplit, file: Path) -> list[Sample]:
    return labelled_boxes(which.dataset, read_rows(file), file.parent)


def _find_refer(which: RefSplit, folder: Path) -> tuple[Path, Path] | None:
    for inner in (*which.names, ""):
        files = (folder / inner / f"refs({which.by}).p", folder / inner / "instances.json")
        named = inner or folder.name in which.names
        if named and all(file.is_file() for file in files):
            return files
    return None


def _from_refer(which: RefSplit, files: tuple[Path, Path]) -> Iterator[Sample]:
    folder = files[0].parent.parent
    images, ids = Images(below(folder, *IMAGES)), SampleIds(which.dataset)
    for item in read_refer(*files, which.split):
        ref = images.ref(item.image, item.place)
        yield box_sample(ids, item.key, item.sentence, ref, item.box, item.size, item.image)


def _find_hub(which: RefSplit, folder: Path) -> list[Path] | None:
    """Finds parquet files in a folder that is called as the set, or in one inside it."""
    homes = [folder] if folder.name in which.names else []
    homes += [folder / name for name in which.names]
    return next((files for home in homes if (files := hf_files(home, which.split))), None)


def _from_hub(which: RefSplit, files: list[Path]) -> Iterator[Sample]:
    """Yields a sample for each sentence of an object; boxes there are x, y, width, height."""
    ids = SampleIds(which.dataset)
    for row in parquet_rows(files):
        x, y, width, height = numbers_of(row, "bbox")
        key = row.key("question_id")
        for number, sentence in enumerate(list_of(row, "answer")):
            if not isinstance(sentence, str):
                raise DataError(f"{row.place}: 'answer' must hold texts, got {sentence!r}")
            box = (x, y, x + width, y + height)
            named = f"{key}/{number}"
            yield box_sample(ids, named, sentence, cell_ref(row, "image"), box, size_in(row))


def _from_table(which: RefSplit, rows: Iterable[Row]) -> Iterator[Sample]:
    """Yields the split's rows of VLMEvalKit's table, which holds all of them."""
    ids = SampleIds(which.dataset)
    wanted = {f"{name}{which.split}".lower() for name in which.names}
    for row in rows:
        named = str(row.values.get("category") or row.values.get("split") or "")
        if named.replace(" ", "").replace("_", "").lower() not in wanted:
            continue
        size = _table_size(row)
        box = _table_box(row, size)
        key = short_index(row)
        yield box_sample(ids, key, row.text("question"), cell_ref(row, "image"), box, size)


def _table_size(row: Row) -> tuple[float, float] | None:
    values = {name: literal(str(row.values.get(name) or "")) for name in ("width", "height")}
    return size_in(Row(row.place, values))


def _table_box(row: Row, size: tuple[float, float] | None) -> tuple[float, ...]:
    """Returns the box in pixels; numbers up to 1.5 are shares of the image."""
    columns = [row.values.get(f"bbox_{name}") for name in ("x1", "y1", "x2", "y2")]
    text = f"[{', '.join(map(str, columns))}]" if all(columns) else row.text("answer", "bbox")
    box = numbers_of(Row(row.place, {"bbox": literal(text)}), "bbox")
    if size and max(map(abs, box)) <= 1.5:
        return tuple(value * side for value, side in zip(box, size * 2, strict=True))
    return box


_SETS = {
    "refcoco": ("refcoco", "RefCOCO"),
    "refcocop": ("refcoco+", "RefCOCO+", "refcocoplus", "refcocop", "RefCOCOplus"),
    "refcocog": ("refcocog", "RefCOCOg"),
}
"""Our names of the three sets, and those of files and folders."""

_TABLE = "arXiv:2402.11248, Table 4"

_PUBLISHED = (
    (
        "CoLLaVO-7B",
        _TABLE,
        "",
        "87.34 91.08 82.39 80.87 86.36 73.20 82.44 82.33",
    ),
    (
        "Shikra-7B",
        _TABLE,
        "",
        "87.01 90.61 80.24 81.60 87.36 72.12 82.27 82.19",
    ),
    ("MMFuser-7B", MMFUSER, "", "62.0 70.7 52.4 55.6 65.1 44.2 54.0 54.8"),
    ("ConvLLaVA-768-7B", CONVLLAVA, "padded", "84.5 89.0 79.2 77.7 84.9 69.7 79.8 79.7"),
    ("ConvLLaVA-1024-7B", CONVLLAVA, "padded", "85.5 89.6 78.8 79.3 86.1 70.3 80.6 81.2"),
    ("ConvLLaVA-1536-7B", CONVLLAVA, "padded", "86.5 90.6 80.5 80.0 86.8 71.5 82.0 82.4"),
)
"""Model, source, rule, and the figures of the eight splits below."""

_SPLITS = (
    ("refcoco", "unc", "val", 10834, 1500),
    ("refcoco", "unc", "testA", 5657, 750),
    ("refcoco", "unc", "testB", 5095, 750),
    ("refcocop", "unc", "val", 10758, 1500),
    ("refcocop", "unc", "testA", 5726, 750),
    ("refcocop", "unc", "testB", 4889, 750),
    ("refcocog", "umd", "val", 4896, 1300),
    ("refcocog", "umd", "test", 9602, 2600),
)
"""Set, who made the split, split, sentences and images."""

for _position, (_short, _by, _split, _sentences, _count) in enumerate(_SPLITS):
    _which = RefSplit(_short, _SETS[_short], _by, _split)
    DatasetCatalog.register(_which.dataset, partial(load_refcoco, _which))
    MetadataCatalog.get(_which.dataset).set(
        pipeline="refcoco",
        evaluator_type="refcoco",
        benchmark="refcoco",
        config_block="REFCOCO",
        answer_type="box",
        description=f"{_SETS[_short][-1]}: the box of what a sentence refers to, {_split} split",
        expected={"questions": _sentences, "images": _count},
        published=[
            {
                "model": model,
                "metric": "acc@0.5",
                "value": float(figures.split()[_position]),
                "unit": "percent",
                "source": source,
            }
            | ({"parser": rule} if rule else {})
            for model, source, rule, figures in _PUBLISHED
        ],
    )
