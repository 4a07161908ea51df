"""Rows of one's own in a file, as they are read and scored."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from collavo.datasets.registration.catalog import metadata_of, samples_of
from collavo.records import Sample
from collavo.registry import EVALUATORS

_NUMBERS = itertools.count()


def read(folder: Path, *rows: dict[str, Any], options: str = "") -> list[Sample]:
    return samples_of(name_of(folder, *rows, options=options))


def name_of(folder: Path, *rows: dict[str, Any], options: str = "") -> str:
    file = folder / f"rows{next(_NUMBERS)}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"jsonl:{file}{options}"


def labels(samples: list[Sample]) -> list[list[str]]:
    return [[Path(image.label).name for image in sample.images] for sample in samples]


def score(name: str, texts: list[str]) -> dict[str, Any]:
    samples, metadata = samples_of(name), metadata_of(name)
    answers = {s.sample_id: text for s, text in zip(samples, texts, strict=True)}
    evaluator = EVALUATORS.get(metadata.evaluator_type)()
    return dict(evaluator.evaluate(samples, answers, metadata.as_dict()).scores)
