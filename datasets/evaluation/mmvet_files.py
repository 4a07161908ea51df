"""Writes what MM-Vet's evaluator writes: grades as JSON, scores as CSV.

Source: yuweihao/MM-Vet, mm-vet_evaluator.py (get_file_names, export_result).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.errors import UserError

if TYPE_CHECKING:
    from collavo.datasets.evaluation.judge.mmvet import Grade
    from collavo.records import Sample

NAME = "model"
"""What the files call the model, whose name is not known here."""


def write_grades(
    folder: Path, samples: Sequence[Sample], grades: Mapping[str, Sequence[Grade]]
) -> Path:
    """Writes `model_<judge>-grade-<n>runs.json`."""
    rows = {
        str(sample.question_id): {
            "model": [grade.model for grade in grades[sample.sample_id]],
            "content": [grade.content for grade in grades[sample.sample_id]],
            "score": [grade.score for grade in grades[sample.sample_id]],
        }
        for sample in samples
    }
    first = next(iter(grades.values()))
    path = folder / f"{NAME}_{_plain(first[0].model)}-grade-{len(first)}runs.json"
    return _write(path, json.dumps(rows, indent=4))


def write_scores(folder: Path, scores: Mapping[str, Any], judge: str) -> list[Path]:
    """Writes `model_<judge>-cap-score-<n>runs.csv` and `-cap-int-score-`."""
    end = {"total": scores["total"], "std": scores["std"], "runs": str(list(scores["runs"]))}
    start = f"{NAME}_{_plain(judge)}"
    count = len(scores["runs"])
    return [
        _write(folder / f"{start}-{kind}-{count}runs.csv", _table({**scores[name], **end}))
        for kind, name in (("cap-score", "capabilities"), ("cap-int-score", "integrations"))
    ]


def _table(figures: Mapping[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("", *figures))
    writer.writerow((NAME, *figures.values()))
    return text.getvalue()


def _plain(name: str) -> str:
    """A judge's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}; choose another folder") from error
    return path
