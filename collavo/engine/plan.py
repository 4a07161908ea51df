"""The plan of a run: which questions share an image, what they cost, in which order they go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collavo.errors import DataError
from collavo.records import ImageRef, Sample

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Architecture
    from collavo.pipeline.base import Pipeline

MAX_QUESTIONS = 512
"""Questions on one image in a unit; an image with more is cut into several units."""

TEXT_QUESTIONS = 32
"""Questions without image in a unit."""

IMAGE_COST = 40.0
"""What an image costs in units of one question: 1,350 tokens of prefill against about 30."""


@dataclass(frozen=True)
class Unit:
    """What a process takes at once: questions on the same images (or on none).

    Args:
        key: Names it in markers on disk; a hash of its sample ids, so stable over launches.
        images: The images; none for text alone.
        samples: The questions to answer.
        group: All questions of the dataset on these images, for the common prefix of their prompts.
        cost: Expected work, in questions.
    """

    key: str
    images: tuple[ImageRef, ...]
    samples: tuple[Sample, ...]
    group: tuple[Sample, ...]
    cost: float


def make_units(samples: Sequence[Sample], max_questions: int = MAX_QUESTIONS) -> list[Unit]:
    """Groups samples by their images into units, in order of first appearance.

    Images are told apart by where they lie; their content is read by the workers only.

    Args:
        samples: The dataset or the part of it that is asked for.
        max_questions: The most questions of a unit.
    """
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(image.place for image in sample.images), []).append(sample)
    units = []
    for group in groups.values():
        images = group[0].images
        size = max_questions if images else TEXT_QUESTIONS
        for start in range(0, len(group), size):
            part = tuple(group[start : start + size])
            whole = tuple(group) if images else part
            cost = IMAGE_COST * len(images) + _question_cost(part)
            units.append(Unit(unit_key(part), images, part, whole, cost))
    return units


def in_order(units: Iterable[Unit], attempts: Mapping[str, int]) -> list[Unit]:
    """Sorts units for handing out: never begun ones first, of these the dearest first.

    Units that were begun and not finished come last, so that one that kills its process does so
    after everything else is on disk.

    Args:
        units: The units.
        attempts: How often a unit was begun and not finished, by key; absent means never.
    """
    indexed = list(enumerate(units))
    indexed.sort(key=lambda pair: (attempts.get(pair[1].key, 0), -pair[1].cost, pair[0]))
    return [unit for _, unit in indexed]


def unit_key(samples: Sequence[Sample]) -> str:
    """Names a set of samples, the same on every machine and in every launch."""
    joined = "\n".join(s.sample_id for s in samples)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def common_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """Counts the tokens that all sequences start with; the shortest keeps one of its own at least.

    Args:
        sequences: The token ids of an image's prompts, none empty.
    """
    if not sequences:
        return 0
    low, high = min(sequences), max(sequences)  # differ first where any two do
    shared = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        shared += 1
    return max(0, min(shared, min(len(s) for s in sequences) - 1))


def select(samples: Sequence[Sample], limit: int = 0, ids: str = "") -> list[Sample]:
    """Keeps the part of a dataset that is asked for.

    Args:
        samples: The dataset.
        limit: Keep the first so many; 0 keeps all.
        ids: Comma-separated sample ids, or "@file" with one id a line; empty keeps all. An id may
            be given without the dataset's name before the colon.

    Raises:
        DataError: An id that the dataset has not.
    """
    kept = list(samples)
    if ids:
        wanted = _read_ids(ids)
        by_id = {s.sample_id: s for s in kept}
        short = {s.sample_id.split(":", 1)[-1]: s.sample_id for s in kept}
        unknown = [i for i in wanted if i not in by_id and i not in short]
        if unknown:
            example = kept[0].sample_id if kept else "none, it is empty"
            raise DataError(
                f"{len(unknown)} of {len(wanted)} sample ids are not in the dataset: "
                f"{', '.join(unknown[:5])}. Its ids look like {example}"
            )
        chosen = {i if i in by_id else short[i] for i in wanted}
        kept = [s for s in kept if s.sample_id in chosen]
    if limit < 0:
        raise DataError(f"EVAL.LIMIT is {limit}; it must be 0 (all) or a number of samples")
    return kept[:limit] if limit else kept


def missing_images(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the samples whose image file is not there; reads no image."""
    exists: dict[object, bool] = {}
    missing = []
    for sample in samples:
        paths = [image.path for image in sample.images if image.path is not None]
        for path in paths:
            if path not in exists:
                exists[path] = path.is_file()
        if not all(exists[path] for path in paths):
            missing.append(sample)
    return missing


def _read_ids(text: str) -> list[str]:
    if text.startswith("@"):
        try:
            with open(text[1:], encoding="utf-8") as file:
                return [line.strip() for line in file if line.strip()]
        except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the path
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise DataError(f"cannot read the sample ids of {text[1:]!r:.200}: {said}") from error
    return [part.strip() for part in text.split(",") if part.strip()]


def _question_cost(samples: Sequence[Sample]) -> float:
    """Questions, each weighed by its length in characters (about 100 are usual)."""
    return sum(1.0 + len(s.question) / 400.0 for s in samples)


def rendered(
    architecture: Architecture, pipeline: Pipeline, sample: Sample, text: str | None
) -> str:
    """Returns the whole prompt of a sample.

    Args:
        architecture: The model; one of several images is told how many there are.
        pipeline: Words the question.
        sample: The question.
        text: The sentence about the objects, or None.
    """
    question = pipeline.prompt(sample)
    if architecture.max_images > 1:
        return architecture.render(question, text, len(sample.images))
    return architecture.render(question, text)
