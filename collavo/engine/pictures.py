"""Pictures of a run's first images: photo, crayon map, questions and answers, one PNG each."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

from collavo.engine.images import Loaded
from collavo.errors import DataError
from collavo.records import ImageRef, Sample, Segments

if TYPE_CHECKING:
    import torch

    from collavo.engine.plan import Unit

logger = logging.getLogger(__name__)


@dataclass
class _Wanted:
    """A unit that is drawn once its questions are answered."""

    path: Path
    unit: Unit
    answers: dict[str, str]
    segments: Segments | None = None
    picture: torch.Tensor | None = field(default=None, repr=False)


class Pictures:
    """Draws units as their last answers come, in a thread of its own.

    Args:
        folder: Where the pictures go; made when the first one is drawn.
        units: The units to draw.
        class_names: The names of the segments' label ids.
        known: Returns the answer that a sample had before this launch, None where it had none.
    """

    def __init__(
        self,
        folder: Path,
        units: Sequence[Unit],
        class_names: Sequence[str],
        known: Callable[[Sample], str | None],
    ) -> None:
        self._names = class_names
        self._wanted: dict[str, _Wanted] = {}
        for number, unit in enumerate(units, 1):
            name = re.sub(r"[^A-Za-z0-9._-]+", "_", unit.samples[0].sample_id)[:80]
            answers = {s.sample_id: a for s in unit.samples if (a := known(s)) is not None}
            path = folder / f"{number:02d}-{name}.png"
            self._wanted[unit.key] = _Wanted(path, unit, answers)
        self._pool = ThreadPoolExecutor(1, "pictures") if self._wanted else None

    def take(self, item: Loaded, sample: Sample, answer: str) -> None:
        """Takes an answer; the unit's first image is drawn with the last one."""
        wanted = self._wanted.get(item.unit.key)
        if wanted is None or not item.segments:
            return
        wanted.answers[sample.sample_id] = answer
        wanted.segments, wanted.picture = item.segments[0], item.visuals[0].picture
        if len(wanted.answers) == len(wanted.unit.samples):
            self._draw(self._wanted.pop(item.unit.key))

    def close(self) -> None:
        """Draws what some answers came for, and waits for the pictures."""
        for wanted in self._wanted.values():
            self._draw(wanted)
        self._wanted.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _draw(self, wanted: _Wanted) -> None:
        if wanted.segments is not None and self._pool is not None:
            self._pool.submit(_save, wanted, self._names)


def asked(sample: Sample) -> str:
    """Words a question for a picture: with its options, on one line."""
    options = " ".join(
        f"({letter}) {option}"
        for letter, option in zip(ascii_uppercase, sample.options, strict=False)
    )
    return " ".join(f"{sample.question} {options}".split())


def _save(wanted: _Wanted, names: Sequence[str]) -> None:
    """Saves one picture; a fault of the drawing ends no run."""
    from collavo.datasets.mappers.image import open_image
    from collavo.modeling.crayon.draw import draw_crayon

    assert wanted.segments is not None, "drawn once they are there"
    image: ImageRef = wanted.unit.images[0]
    lines = []
    for sample in wanted.unit.samples:
        answer = wanted.answers.get(sample.sample_id, "(none yet)")
        right = f"  (reference: {', '.join(dict.fromkeys(sample.answers))})"
        lines.append((asked(sample), answer + right if sample.answers else answer))
    try:
        drawn = draw_crayon(open_image(image), wanted.segments, names, lines, wanted.picture)
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = wanted.path.with_suffix(".new")
        drawn.save(temporary, format="PNG")
        temporary.replace(wanted.path)
    except (OSError, ValueError, DataError) as error:
        logger.warning("no picture %s: %s", wanted.path, error)
