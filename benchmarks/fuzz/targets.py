"""What is broken: the miniature's files in every form, datasets by path, files of answers."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration import catalog
from collavo.datasets.registration.generic import is_generic
from collavo.datasets.registration.readers.opened import recording
from collavo.datasets.registration.roots import use_root
from collavo.errors import UserError
from collavo.records import Sample
from collavo.results.files import write_lines

LARGEST = 2 << 20
"""Bytes of the largest file that is broken."""

ODD_ANSWERS = (
    *("", " ", "\n", "Yes", "no.", "A", "B. ", "(C)", "1", "0.5", "nan", "[0, 0, 1, 1]", "-1e999"),
    *(
        "\t\tyes\n\nno",
        "Ａ",
        "ｙｅｓ",
        "é🙂" * 20,
        "\0",
        "a\0b",
        "The answer is D",
        "x" * 5000,
        "[]",
    ),
    *("=1+1", "'", '"', "\ufeffyes", "\u2028", "None", "{'a': 1}", "\\", "%s %d", "1,234", "½"),
)
"""Answers of shapes that models give, and worse."""


@dataclass
class Target:
    """A dataset, the root it is read from, and the files that are broken.

    Args:
        name: The dataset.
        root: The root; "" for a dataset by path.
        files: Its files.
        answers: A file of answers to it, which is broken instead; None where there is none.
        stored: Answers to all of it, for the command `score`.
    """

    name: str
    root: str
    files: list[Path]
    answers: Path | None = None
    stored: Path | None = None


def forget(name: str) -> None:
    """Lets a dataset by path be looked at anew."""
    if is_generic(name) and name in catalog.DatasetCatalog:
        catalog.DatasetCatalog.remove(name)
        catalog.MetadataCatalog.remove(name)


def odd_answer(sample: Sample, dice: random.Random) -> str:
    """A right answer or an odd one."""
    right = bool(sample.answers) and dice.random() < 0.5
    return sample.answers[0] if right else dice.choice(ODD_ANSWERS)


def make_targets(
    folder: Path, only: Sequence[str] = (), roots: Sequence[Path] = ()
) -> list[Target]:
    """Copies the miniature into `folder`, in every form, and lists what is there.

    Args:
        folder: An empty folder.
        only: The datasets wanted; all of them where it is empty.
        roots: Further roots; their small files are broken, too.
    """
    home = folder / "root"
    copy_root(miniature_root(), home)
    targets = []
    for name in catalog.dataset_names():
        targets += _target(name, home, only, folder)
    tables = {"mme": ("MME", "MME.tsv"), "pope_test": ("POPE", "POPE.tsv")}
    for name, (inner, table) in tables.items():
        use_root(home)
        samples = catalog.samples_of(name)[:12]
        _write_tsv(folder / f"{name}-tsv" / inner / table, samples)
        _write_parquet(folder / f"{name}-hf" / inner / "data" / "test.parquet", samples)
        targets += _target(name, folder / f"{name}-tsv", only, folder)
        targets += _target(name, folder / f"{name}-hf", only, folder)
        for form, write in (("json", _write_answers), ("log", _write_log), ("xlsx", _write_xlsx)):
            answers = folder / "answers" / f"{name}.{form}"
            answers.parent.mkdir(exist_ok=True)
            write(answers, catalog.samples_of(name))
            if not only or name in only:
                targets.append(Target(name, str(folder / f"{name}-hf"), [], answers))
    for own in _write_own(folder / "own", home):
        targets += _target(own, None, only, folder)
    for number, given in enumerate(roots):
        there = folder / f"given-{number}"
        copy_root(given, there)
        for name in catalog.dataset_names():
            targets += _target(name, there, only, folder)
    return targets


def copy_root(source: Path, target: Path) -> None:
    """Copies a root, its images as links."""
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        elif path.suffix.lower() in (".jpg", ".jpeg", ".png", ".gif", ".webp"):
            there.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path, there)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)


def _target(name: str, root: Path | None, only: Sequence[str], store: Path) -> list[Target]:
    if only and name.partition(":")[0] not in only and name not in only:
        return []
    use_root(str(root) if root else "")
    try:
        with recording() as files:
            forget(name)
            catalog.metadata_of(name)
            catalog.samples_of(name)
    except UserError:
        if is_generic(name):
            raise  # what is written here is read
        return []  # the miniature has no such dataset
    small = [file for file in files if file.stat().st_size <= LARGEST]
    if not small:
        return []
    place = str(root) if root else ""
    return [Target(name, place, small, stored=_store(catalog.samples_of(name), store))]


def _store(samples: Sequence[Sample], folder: Path) -> Path:
    """Writes answers to all samples of a dataset beside the roots."""
    dice = random.Random(len(samples))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False, dir=folder) as file:
        for sample in samples:
            row = {"sample_id": sample.sample_id, "answer": odd_answer(sample, dice)}
            file.write(json.dumps(row) + "\n")
    return Path(file.name)


def _fields(sample: Sample) -> dict[str, Any]:
    assert sample.images
    return {
        "question_id": str(sample.question_id),
        "question": sample.question,
        "answer": sample.answers[0] if sample.answers else "",
        "category": sample.category,
        "image_source": Path(str(sample.extra.get("image", "x.jpg"))).stem,
    }


def _write_tsv(path: Path, samples: Sequence[Sample]) -> None:
    path.parent.mkdir(parents=True)
    lines = ["index\timage\tquestion\tanswer\tcategory"]
    first: dict[bytes, int] = {}
    for number, sample in enumerate(samples):
        row = _fields(sample)
        assert sample.images
        home = first.setdefault(sample.images[0].read(), number)
        image = base64.b64encode(sample.images[0].read()).decode() if home == number else str(home)
        cells = (str(number), image, row["question"], row["answer"], row["category"])
        lines.append("\t".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_parquet(path: Path, samples: Sequence[Sample]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True)
    rows = []
    for sample in samples:
        assert sample.images
        rows.append({**_fields(sample), "image": {"bytes": sample.images[0].read(), "path": None}})
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    names = [name for name in rows[0] if name != "image"]
    schema = pa.schema([*((name, pa.string()) for name in names), ("image", image)])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=5)


def _write_answers(path: Path, samples: Sequence[Sample]) -> None:
    write_lines(path, ({"sample_id": s.sample_id, "answer": "Yes"} for s in samples))


def _write_log(path: Path, samples: Sequence[Sample]) -> None:
    rows = (
        {"doc_id": n, "doc": _fields(s), "resps": [["Yes"]], "filtered_resps": ["Yes"]}
        for n, s in enumerate(samples)
    )
    write_lines(path, rows)


def _write_xlsx(path: Path, samples: Sequence[Sample]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["index", "question", "category", "prediction"])
    for number, sample in enumerate(samples):
        sheet.append([number, sample.question, sample.category, "Yes"])
    book.save(path)


def _write_own(folder: Path, home: Path) -> list[str]:
    """Writes small datasets of every kind that is named by its path."""
    folder.mkdir()
    use_root(home)
    images = [s.images[0] for s in catalog.samples_of("pope_test")[:3] if s.images]
    encoded = base64.b64encode(images[0].read()).decode()
    choice = [
        "index\timage\timage_path\thint\tquestion\tA\tB\tC\tanswer\tcategory",
        f'1\t{encoded}\t\t"two\nlines"\tWhich?\tred\tNone\t\tA\tcolor',
        "2\t1\t\t\tWhich?\tred\tblue\tNA\tC\tcolor",
        f"3\t['{encoded}', '{encoded}']\t\t\tWhich \"one\"?\tred\tblue\tgreen\tB\tlist",
        "1000001\t1\t\t\tWhich?\tNone\tred\t\tB\tcolor",
    ]
    (folder / "choice.tsv").write_text("\n".join(choice) + "\n", encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {"id": 1, "image": images[0].label, "question": "What?", "answers": ["cat"] * 10},
        {"id": "x", "image": None, "question": "Which?", "options": ["1", "2"], "answer": 1},
        {"id": 1, "images": [images[1].label], "text": "What é?", "answer": {"answer": 3}},
        {
            "image": encoded,
            "conversations": [
                {"from": "human", "value": "<image>\nWhat?"},
                {"from": "gpt", "value": "it"},
            ],
        },
    ]
    rows[2]["answer"] = [rows[2]["answer"]]
    for name, metric in (("mixed", ""), ("vqa", "?metric=vqa"), ("anls", "?metric=anls")):
        write_lines(folder / f"{name}.jsonl", rows if name == "mixed" else [rows[0], rows[3]])
        rows[0]["question"] += f" {metric}"
    write_lines(folder / "yes.jsonl", [{"question": "Is it?", "answer": True} for _ in range(3)])
    (folder / "array.json").write_text(json.dumps(rows[:1], indent=1), encoding="utf-8")
    return [
        f"tsv:{folder}/choice.tsv",
        f"jsonl:{folder}/yes.jsonl?images=none",
        f"jsonl:{folder}/mixed.jsonl?image_root={home}",
        *(f"jsonl:{folder}/{x}.jsonl?metric={x}&image_root={home}" for x in ("vqa", "anls")),
        f"json:{folder}/array.json?image_root={home}",
    ]
