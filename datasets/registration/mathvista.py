"""MathVista: mathematics in visual contexts (Lu et al., 2024, arXiv:2310.02255).

Layouts under `<root>/MathVista`: the parquet parts `testmini-*` or `test-*` with `images/` beside
them (CoLLaVO); the authors' `testmini.json` (also in `data/`) with `query.json` and `images/`; a
copy of AI4Math/MathVista with the images inside; VLMEvalKit's table. `annotations.json` is read as
`testmini.json` is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from collavo.datasets.registration.choices import first_file, published
from collavo.datasets.registration.layouts import (
    Layout,
    cell_ref,
    hf_files,
    hf_layout,
    load_layouts,
    parquet_rows,
    tsv_layout,
)
from collavo.datasets.registration.readers.literals import literal
from collavo.datasets.registration.readers.rows import Row, read_json
from collavo.datasets.registration.vqa_fields import Images, SampleIds, below, home_of, mapping_of
from collavo.datasets.registration.which_catalog import DatasetCatalog, MetadataCatalog
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, one_image

FACTS = ("language", "source", "category", "task", "context", "grade", "skills")
"""What the authors' figures are broken down by, besides the two types."""

_FOLDERS = ("MathVista", "mathvista")
_TABLES = {"testmini": ("MathVista_MINI.tsv", "MathVista_TESTMINI.tsv"), "test": ()}

_HINT = "Hint: Please answer the question "
_HINTS = {
    "choice": "and provide the correct option letter, e.g., A, B, C, D, at the end.",
    "integer": "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the "
    "end.",
    "float1": "requiring a floating-point number with one decimal place and provide the final "
    "value, e.g., 1.2, 1.3, 1.4, at the end.",
    "float2": "requiring a floating-point number with two decimal places and provide the final "
    "value, e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], "
    "[1.2, 1.3, 1.4], at the end.",
}
"""What precedes a question, by the type of its answer (lupantech/MathVista, build_query.py)."""

Answers = Mapping[str, Row]
"""Problems by pid."""


def load_mathvista(split: str) -> list[Sample]:
    """Reads a split of MathVista, "testmini" or "test"; the answers of "test" are hidden.

    Raises:
        MissingFileError: No layout is there.
        DataError: A file or a record is broken.
    """
    name = f"mathvista_{split}"
    names = (f"{split}.json", f"data/{split}.json")
    annotated = ("annotations.json",) if split == "testmini" else ()
    layouts = [
        Layout(
            "original",
            partial(_parts, split),
            partial(_from_parts, name),
            f"{split}-00000-of-*.parquet, images/",
        ),
        Layout(
            "authors",
            first_file(*names, *annotated),
            partial(_from_json, name),
            f"{names[0]}, query.json, images/",
            in_root=True,
        ),
        hf_layout(split, lambda rows: _samples(name, rows, _inside)),
    ]
    if _TABLES[split]:
        layouts.append(tsv_layout(_TABLES[split], partial(_from_table, name)))
    return load_layouts(name, _FOLDERS, layouts)


def _parts(split: str, folder: Path) -> list[Path] | None:
    return hf_files(folder, split) if (folder / "images").is_dir() else None


def _from_parts(name: str, files: list[Path]) -> Iterator[Sample]:
    images = Images(below(home_of(files[0], "data"), "."))
    return _samples(name, parquet_rows(files), lambda row: images.ref(row.text("image"), row.place))


def _from_json(name: str, file: Path) -> Iterator[Sample]:
    value = read_json(file)
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        raise DataError(f"{file}: expected an object of problems by pid")
    queries = file.with_name("query.json")
    known = read_json(queries) if queries.is_file() else {}
    if not isinstance(known, Mapping):
        raise DataError(f"{queries}: expected an object of queries by pid")
    images = Images(below(home_of(file, "data"), "."))
    rows = (
        Row(f"{file}, problem {pid!r}", {"query": known.get(pid), **fields, "pid": pid})
        for pid, fields in value.items()
    )
    return _samples(name, rows, lambda row: images.ref(row.text("image"), row.place))


def _inside(row: Row) -> ImageRef | None:
    return cell_ref(row, "decoded_image", "image")


def _from_table(name: str, rows: Iterable[Row]) -> Iterator[Sample]:
    """Yields the samples of VLMEvalKit's table, whose questions are the whole queries."""
    for row in rows:
        fields = {**row.values, "query": row.values.get("question")}
        fields["pid"] = row.values.get("pid") or row.values.get("index")
        fields["metadata"] = {fact: row.values.get(fact) for fact in FACTS}
        fields["metadata"]["skills"] = _listed(row.values.get("skills"))
        fields["choices"] = _listed(row.values.get("choices")) or None
        yield from _samples(name, [Row(row.place, fields)], _inside)


def _listed(value: Any) -> list[str]:
    """A list, a Python list as text, or one text."""
    if isinstance(value, str):
        found = literal(value) if value.startswith("[") else None
        value = found if isinstance(found, list) else [value]
    return [str(x) for x in value] if isinstance(value, list | tuple) else []


def _samples(
    name: str, rows: Iterable[Row], image_of: Callable[[Row], ImageRef | None]
) -> Iterator[Sample]:
    ids = SampleIds(name)
    for row in rows:
        pid = str(row.key("pid"))
        answer = row.values.get("answer")
        facts = mapping_of(row, "metadata")
        named = row.values.get("image")
        extra: dict[str, Any] = {
            "query": query_of(row),
            "question_type": row.text("question_type"),
            "answer_type": row.text("answer_type"),
            "precision": _precision(row),
            "unit": row.values.get("unit"),
            "metadata": {**facts, "skills": _listed(facts.get("skills"))},
        }
        if isinstance(named, str):
            extra["image"] = named
        yield Sample(
            sample_id=ids.of(pid),
            images=one_image(image_of(row)),
            question=row.text("question"),
            question_id=pid,
            options=_choices(row),
            answers=() if answer in (None, "") else (_answer(answer, row.place),),
            category=str(facts.get("task") or ""),
            extra=extra,
        )


def _answer(value: Any, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{place}: field 'answer' must be text, got {value!r:.80}")
    return str(value)


def _choices(row: Row) -> tuple[str, ...]:
    value = row.values.get("choices")
    if value is None:
        value = []
    if not isinstance(value, list | tuple) or not all(isinstance(x, str) for x in value):
        raise DataError(f"{row.place}: field 'choices' must be a list of texts, got {value!r:.80}")
    if not value and row.text("question_type") == "multi_choice":
        raise DataError(f"{row.place}: a question of choices has none")
    return tuple(value)


def _precision(row: Row) -> int | None:
    """Decimals of a float answer; those of the answer itself where the table does not say."""
    value = row.values.get("precision")
    if value is None and row.values.get("answer_type") == "float":
        _, point, decimals = str(row.values.get("answer") or "").partition(".")
        return len(decimals) if point else None
    if isinstance(value, str):
        value = literal(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)


def query_of(row: Row) -> str:
    """Returns the authors' query, or what their script makes of the problem."""
    query = row.values.get("query")
    if isinstance(query, str) and query:
        return query
    kind = row.text("answer_type")
    if row.text("question_type") == "multi_choice":
        kind = "choice"
    elif kind == "float":
        kind = "float2" if _precision(row) == 2 else "float1"
    text = f"{_HINT}{_HINTS.get(kind, _HINTS['list'])}\nQuestion: {row.text('question')}"
    if row.values.get("unit"):
        text += f" (Unit: {row.values['unit']})"
    choices = _choices(row)
    if choices:
        text += "\nChoices:"
        text += "".join(f"\n({chr(ord('A') + k)}) {choice}" for k, choice in enumerate(choices))
    return text.strip()


for _split, _about, _count in (
    ("testmini", "1,000 questions with answers", 1000),
    ("test", "5,141 questions, answers hidden", 5141),
):
    DatasetCatalog.register(f"mathvista_{_split}", partial(load_mathvista, _split))
    MetadataCatalog.get(f"mathvista_{_split}").set(
        pipeline="mathvista",
        evaluator_type="mathvista",
        benchmark="mathvista",
        config_block="MATHVISTA",
        answer_type="text",
        description=f"MathVista {_split}: mathematics in figures, {_about}",
        expected={"questions": _count} | ({"images": 1000} if _split == "testmini" else {}),
        published=published(
            "accuracy",
            "percent",
            (
                ("CoLLaVO-7B", 57.6, "arXiv:2402.11248, Figure 1"),
                ("GPT-4V", 49.9, "arXiv:2402.11248, Figure 1"),
                ("InternLM-XC2-VL-7B", 57.6, "its model card"),
                ("Bard", 34.8, "lupantech/MathVista, results/bard"),
            ),
        )
        if _split == "testmini"
        else [],
    )
