"""Breaks the small dataset files at random, byte by byte, and looks how they are read.

    python benchmarks/fuzz_datasets.py --count 10000
    python benchmarks/fuzz_datasets.py --count 2000 --only seed,mmbench --keep broken/

One process, without torch. Each round breaks one file of one dataset (the built-in miniature's, the
same in Hugging Face's parquet and in VLMEvalKit's table, lists and tables named by their path) or
one file of answers, then reads it, words every prompt, scores answers of odd shapes and writes the
submission. A round must end with a result or with an error that says what is wrong; any other
exception is a fault, as is a round of more than `LIMIT` seconds. The last line is JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.predictions import read_predictions
from collavo.datasets.mappers.image import open_image
from collavo.datasets.miniature.build import miniature_root
from collavo.datasets.registration import catalog
from collavo.datasets.registration.generic import is_generic
from collavo.datasets.registration.layouts import use_layout
from collavo.datasets.registration.readers.opened import recording
from collavo.datasets.registration.roots import use_root
from collavo.engine.fingerprint import samples_digest
from collavo.errors import UserError
from collavo.pipeline.base import STYLES
from collavo.records import Sample
from collavo.registry import EVALUATORS, PIPELINES, UnknownNameError
from collavo.results.files import write_lines

LIMIT = 30
"""Seconds after which a round is a fault."""

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

_PIECES = tuple(
    text.encode("utf-8")
    for text in (
        *("\0", "\ufeff", '"', "'", "\t", "\n", "\r", "\r\n", "{", "}", "[", "]", ",", ":", "\\"),
        *(
            "null",
            "NaN",
            "-1",
            "1e999",
            "9" * 400,
            "\\ud800",
            "\\u0000",
            "é🙂",
            "Ａ",
            "../../",
            "true",
        ),
        *(
            "None",
            "<image>",
            "[[[[" * 300,
            "A" * 70000,
            "0",
            " ",
            "nan",
            "1.0",
            "image",
            "question",
        ),
    )
)
_BYTES = (b"\xff\xfe", b"\xfe\xff", b"\x80", b"\xed\xa0\x80", b"\x1f\x8b", b"PAR1", b"PK\x03\x04")

_VALUE = re.compile(
    rb'"(?:[^"\\\n]|\\.){0,200}"|-?\d{1,20}(?:\.\d+)?|\b(?:true|false|null)\b|[^\t\n"]{1,60}(?=\t)'
)
_VALUES = tuple(
    text.encode("utf-8")
    for text in (
        *(
            '""',
            '"x"',
            "0",
            "-1",
            "3.5",
            "1e999",
            "null",
            "true",
            "[]",
            "{}",
            '["a", null]',
            '{"a": 1}',
        ),
        *(
            '"A"',
            '"yes"',
            '"None"',
            '"[1]"',
            '"[0.1, 0.2]"',
            "[[1, 2], [3]]",
            '"\\ud800"',
            '"\\u0000"',
        ),
        *(
            "99999999999999999999",
            "NaN",
            '" "',
            '"../../x"',
            '"é🙂Ａ"',
            f'"{"ab " * 900}"',
            "1.0",
            "A",
        ),
    )
)


@dataclass
class Target:
    """A dataset, the root it is read from, and the files that are broken.

    Args:
        name: The dataset.
        root: The root; "" for a dataset by path.
        files: Its files.
        answers: A file of answers to it, which is broken instead; None where there is none.
    """

    name: str
    root: str
    files: list[Path]
    answers: Path | None = None


@dataclass
class Tally:
    """What the rounds ended with."""

    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")


def broken(data: bytes, dice: random.Random) -> bytes:
    """Breaks some bytes: one to four edits of random kinds."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(out) + 1)
        size = dice.choice((1, 1, 2, 5, 20, 200, 2000))
        piece = bytes(out[at : at + size])
        edit = dice.randrange(13)
        if edit > 8:
            _swap_value(out, at, dice)
        elif edit == 0 and out:
            out[min(at, len(out) - 1)] ^= 1 << dice.randrange(8)
        elif edit == 1:
            out[at : at + 1] = bytes([dice.randrange(256)])
        elif edit == 2:
            out[at:at] = dice.randbytes(size % 50)
        elif edit == 3:
            del out[at : at + size]
        elif edit == 4:
            out[at:at] = piece * dice.choice((1, 1, 3))
        elif edit == 5:
            there = dice.randrange(len(out) + 1)
            out[there : there + size] = piece
        elif edit == 6 and dice.random() < 0.3:
            del out[at:]
        else:
            token = dice.choice(_PIECES + _BYTES)
            out[at : at + dice.choice((0, 0, 1, len(token)))] = token
    return bytes(out)


def _swap_value(out: bytearray, at: int, dice: random.Random) -> None:
    """Puts another value in the place of the next text, number or cell: the form stays whole."""
    found = _VALUE.search(out, at) or _VALUE.search(out)
    if found is not None:
        out[found.start() : found.end()] = dice.choice(_VALUES)


def read_everything(name: str, answers: Path | None, work: Path, dice: random.Random) -> None:
    """Does all that commands do with a dataset, without a model.

    Raises:
        UserError: It cannot be used.
    """
    _forget(name)
    metadata = catalog.metadata_of(name)
    samples = catalog.samples_of(name)
    samples_digest(samples)
    if answers is not None:
        match(samples, read_predictions(answers))
        return
    for style in STYLES:
        pipeline = PIPELINES.get(metadata.pipeline)(style=style)
        for sample in samples:
            pipeline.prompt(sample).encode("utf-8")
            pipeline.parse(dice.choice(ODD_ANSWERS), sample)
    for sample in dice.sample(samples, min(2, len(samples))):
        if sample.image is not None:
            with suppress(UserError):  # it may be missing: answers can be scored all the same
                open_image(sample.image)
    texts = {s.sample_id: _answer(s, dice) for s in samples}
    evaluator = EVALUATORS.get(metadata.evaluator_type)()
    facts = metadata.as_dict()
    scored = evaluator.evaluate(samples, texts, facts)
    write_lines(
        work / "scores.jsonl", ({"id": k, "s": str(v)} for k, v in scored.per_sample.items())
    )
    (work / "submission").mkdir(exist_ok=True)
    evaluator.submission(samples, texts, work / "submission", facts)


def _forget(name: str) -> None:
    """Lets a dataset by path be looked at anew."""
    if is_generic(name) and name in catalog.DatasetCatalog:
        catalog.DatasetCatalog.remove(name)
        catalog.MetadataCatalog.remove(name)


def _answer(sample: Sample, dice: random.Random) -> str:
    right = bool(sample.answers) and dice.random() < 0.5
    return sample.answers[0] if right else dice.choice(ODD_ANSWERS)


def run(
    targets: Sequence[Target], count: int, seed: int, work: Path, keep: Path | None = None
) -> Tally:
    """Breaks files and reads them.

    Args:
        targets: What is read.
        count: How many rounds.
        seed: Of the dice.
        work: A folder for what is written.
        keep: Where files that led to a fault are kept.
    """
    tally = Tally()
    with _alarms():
        for number in range(count):
            dice = random.Random(seed * 1_000_003 + number)
            target = dice.choice(targets)
            file = target.answers or dice.choice(target.files)
            whole = file.read_bytes()
            start = time.monotonic()
            try:
                file.write_bytes(broken(whole, dice))
                _round(target, work, dice, tally, number, keep, file)
            finally:
                file.write_bytes(whole)
            seconds = round(time.monotonic() - start, 2)
            tally.slowest = max(tally.slowest, (seconds, f"round {number}: {target.name}"))
    return tally


def _round(
    target: Target,
    work: Path,
    dice: random.Random,
    tally: Tally,
    number: int,
    keep: Path | None,
    file: Path,
) -> None:
    use_root(target.root)
    signal.alarm(LIMIT)
    try:
        read_everything(target.name, target.answers, work, dice)
        tally.read += 1
        tally.kinds[f"{target.name}: read"] += 1
    except (UserError, UnknownNameError) as error:
        tally.refused += 1
        tally.kinds[f"{target.name}: {type(error).__name__}"] += 1
        if not str(error).strip():
            tally.faults.append(f"round {number}: {target.name}: an error without words")
    except Exception:  # what the rounds look for
        tally.faults.append(f"round {number}: {target.name}, {file}\n{traceback.format_exc()}")
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, keep / f"{number}-{file.name}")
    finally:
        signal.alarm(0)


@contextmanager
def _alarms() -> Iterator[None]:
    """Turns rounds without end, and warnings, into faults."""

    def stop(signum: int, frame: Any) -> None:
        raise TimeoutError(f"a round takes more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


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
        targets += _target(name, home, only)
    tables = {"mme": ("MME", "MME.tsv"), "pope_test": ("POPE", "POPE.tsv")}
    for name, (inner, table) in tables.items():
        use_root(home)
        samples = catalog.samples_of(name)[:12]
        _write_tsv(folder / f"{name}-tsv" / inner / table, samples)
        _write_parquet(folder / f"{name}-hf" / inner / "data" / "test.parquet", samples)
        targets += _target(name, folder / f"{name}-tsv", only)
        targets += _target(name, folder / f"{name}-hf", only)
        for form, write in (("json", _write_answers), ("log", _write_log), ("xlsx", _write_xlsx)):
            answers = folder / "answers" / f"{name}.{form}"
            answers.parent.mkdir(exist_ok=True)
            write(answers, catalog.samples_of(name))
            if not only or name in only:
                targets.append(Target(name, str(folder / f"{name}-hf"), [], answers))
    for own in _write_own(folder / "own", home):
        targets += _target(own, None, only)
    for number, given in enumerate(roots):
        there = folder / f"given-{number}"
        copy_root(given, there)
        for name in catalog.dataset_names():
            targets += _target(name, there, only)
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


def _target(name: str, root: Path | None, only: Sequence[str]) -> list[Target]:
    if only and name.partition(":")[0] not in only and name not in only:
        return []
    use_root(str(root) if root else "")
    try:
        with recording() as files:
            _forget(name)
            catalog.metadata_of(name)
            catalog.samples_of(name)
    except UserError:
        return []  # the miniature has no such dataset
    small = [file for file in files if file.stat().st_size <= LARGEST]
    return [Target(name, str(root) if root else "", small)] if small else []


def _fields(sample: Sample) -> dict[str, Any]:
    assert sample.image is not None
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
        assert sample.image is not None
        home = first.setdefault(sample.image.read(), number)
        image = base64.b64encode(sample.image.read()).decode() if home == number else str(home)
        cells = (str(number), image, row["question"], row["answer"], row["category"])
        lines.append("\t".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_parquet(path: Path, samples: Sequence[Sample]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True)
    rows = []
    for sample in samples:
        assert sample.image is not None
        rows.append({**_fields(sample), "image": {"bytes": sample.image.read(), "path": None}})
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
    images = [s.image for s in catalog.samples_of("pope_test")[:3] if s.image is not None]
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
        {"image": encoded, "conversations": [{"value": "<image>\nWhat?"}, {"value": "it"}]},
    ]
    rows[2]["answer"] = [rows[2]["answer"]]
    for name, metric in (("mixed", ""), ("vqa", "?metric=vqa"), ("anls", "?metric=anls")):
        write_lines(folder / f"{name}.jsonl", rows if name == "mixed" else [rows[0], rows[3]])
        rows[0]["question"] += f" {metric}"
    write_lines(folder / "yes.jsonl", [{"question": "Is it?", "answer": True} for _ in range(3)])
    (folder / "array.json").write_text(json.dumps(rows[:1], indent=1), encoding="utf-8")
    return [
        f"tsv:{folder}/choice.tsv",
        *(f"jsonl:{folder}/{x}" for x in ("mixed.jsonl", "vqa.jsonl?metric=vqa", "yes.jsonl")),
        f"jsonl:{folder}/anls.jsonl?metric=anls",
        f"json:{folder}/array.json",
    ]


def main(say: Callable[[str], None] = print) -> int:
    """Runs the rounds; 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="datasets, between commas; tsv, jsonl, json too")
    parser.add_argument("--root", type=Path, action="append", default=[], help="a further root")
    parser.add_argument("--keep", type=Path, help="keep files that led to a fault here")
    args = parser.parse_args()
    use_layout("auto")
    logging.disable(logging.CRITICAL)  # what is said of a broken file is no fault
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        only = [name for name in args.only.split(",") if name]
        targets = make_targets(Path(folder) / "data", only, args.root)
        tally = run(targets, args.count, args.seed, Path(folder), args.keep)
    for fault in tally.faults[:10]:
        say(fault)
    result = {
        "rounds": args.count,
        "targets": len(targets),
        "read": tally.read,
        "refused": tally.refused,
        "faults": len(tally.faults),
        "slowest_seconds": tally.slowest[0],
        "slowest": tally.slowest[1],
        "seconds": round(time.monotonic() - start, 1),
        "torch": "torch" in sys.modules,
    }
    for kind, count in sorted(tally.kinds.items()):
        say(f"{count:6} {kind}")
    say(json.dumps(result))
    return 1 if tally.faults or result["torch"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
