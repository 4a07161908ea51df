"""Reads runs from disk: run folders, predictions.jsonl, and what `score --output` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collavo.datasets.registration.readers.rows import Row, read_json, read_rows
from collavo.errors import DataError, MissingFileError

RESULTS, PREDICTIONS = "results.json", "predictions.jsonl"


@dataclass(frozen=True)
class StoredRow:
    """One sample of a run, as it is stored.

    Args:
        sample_id: Its id.
        question: As the benchmark words it.
        image: The image's name.
        category: The benchmark's own grouping.
        answer: The raw answer; None where there is none.
        parsed: The answer as it was read.
        reference: What it was compared with.
        correct: Right or wrong, or a score; None where the answers are hidden.
        prompt: What the model was asked, "" where that is not stored.
    """

    sample_id: str
    question: str
    image: str
    category: str
    answer: str | None
    parsed: str | None
    reference: Any
    correct: bool | float | None
    prompt: str = ""

    @property
    def scored(self) -> bool:
        """Whether there is a judgement."""
        return self.correct is not None


@dataclass(frozen=True)
class StoredRun:
    """A finished run on one dataset.

    Args:
        path: Where it was read from.
        dataset: The dataset's name.
        rows: Its samples, by sample id.
        results: What results.json (or the file of `score --output`) holds; may be empty.
    """

    path: Path
    dataset: str
    rows: Mapping[str, StoredRow]
    results: Mapping[str, Any] = field(default_factory=dict)

    @property
    def miniature(self) -> bool:
        """Whether it is on the built-in miniature of the dataset, as far as is stored."""
        return bool((self.results.get("flags") or {}).get("miniature"))

    @property
    def parser(self) -> str:
        """The rule that read the answers."""
        return str(self.results.get("parser") or "official")

    @property
    def headline(self) -> dict[str, float]:
        """The stored headline figures."""
        found = self.results.get("headline") or {}
        return {k: float(v) for k, v in found.items() if isinstance(v, (int, float))}


def read_runs(path: Path) -> dict[str, StoredRun]:
    """Reads the runs at `path`, one a dataset.

    Args:
        path: A run folder, a folder of run folders (`<dataset>/<fingerprint>`), a
            predictions.jsonl, or a file of `score --output`.

    Raises:
        MissingFileError: Nothing is there.
        DataError: A file is broken, or there are several runs on one dataset.
    """
    if path.is_file():
        run = _read_file(path)
        return {run.dataset: run}
    if not path.is_dir():
        raise MissingFileError(f"there is no run at {path}: no such file or folder")
    if (path / RESULTS).is_file() or (path / PREDICTIONS).is_file():
        run = _read_folder(path)
        return {run.dataset: run}
    folders = sorted(f.parent for depth in ("*", "*/*") for f in path.glob(f"{depth}/{RESULTS}"))
    if not folders:
        raise MissingFileError(
            f"{path} is no run: it holds neither {RESULTS} nor {PREDICTIONS}, nor do its folders"
        )
    found: dict[str, StoredRun] = {}
    for folder in folders:
        run = _read_folder(folder)
        if run.dataset in found:
            raise DataError(
                f"{path} holds several runs on {run.dataset!r}: {found[run.dataset].path} and "
                f"{folder}; name one of them"
            )
        found[run.dataset] = run
    return found


def read_figures(path: Path) -> dict[str, dict[str, float]]:
    """Reads the headline figures alone, by dataset.

    Raises:
        MissingFileError: Nothing is there.
        DataError: A file is broken.
    """
    return {name: run.headline for name, run in read_runs(path).items()}


def _read_folder(folder: Path) -> StoredRun:
    file = folder / RESULTS
    results = _object(file) if file.is_file() else {}
    predictions = folder / PREDICTIONS
    if not predictions.is_file():
        raise MissingFileError(f"{folder} has no {PREDICTIONS}: the run is not finished")
    return _run(folder, read_rows(predictions), results)


def _read_file(path: Path) -> StoredRun:
    if path.name == PREDICTIONS and (path.parent / RESULTS).is_file():
        return _read_folder(path.parent)
    if path.name == RESULTS:
        return _read_folder(path.parent)
    if path.suffix == ".jsonl":
        return _run(path, read_rows(path), {})
    results = _object(path)
    rows = results.get("per_sample")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            f"{path} holds no samples: give a run folder, its {PREDICTIONS}, or a file that "
            "`score --output` wrote"
        )
    listed = [Row(f"{path}, sample {n}", row) for n, row in enumerate(rows, start=1)]
    return _run(path, listed, results)


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected an object, got {type(found).__name__}")
    return found


def _run(path: Path, rows: Sequence[Row], results: Mapping[str, Any]) -> StoredRun:
    found: dict[str, StoredRow] = {}
    for row in rows:
        values = row.values
        sample_id = row.text("sample_id")
        if sample_id in found:
            raise DataError(f"{row.place}: sample {sample_id!r} stands there twice")
        correct = values.get("correct")
        if correct is not None and not isinstance(correct, (bool, int, float)):
            raise DataError(f"{row.place}: 'correct' must be true, false, a number or null")
        found[sample_id] = StoredRow(
            sample_id=sample_id,
            question=_text(values.get("question")) or "",
            image=_text(values.get("image")) or "",
            category=_text(values.get("category")) or "",
            answer=_text(values.get("answer")),
            parsed=_text(values.get("parsed")),
            reference=values.get("reference"),
            correct=correct,
            prompt=_text(values.get("prompt")) or "",
        )
    if not found:
        raise DataError(f"{path} holds no samples")
    dataset = _text(results.get("dataset")) or next(iter(found)).partition(":")[0]
    return StoredRun(path, dataset, found, results)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
