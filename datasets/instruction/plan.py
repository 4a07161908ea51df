"""Which conversations each step trains on: a pure function of the step's number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from collavo.datasets.instruction.mix import Mix, Ref
from collavo.datasets.instruction.schedule import Schedule
from collavo.datasets.instruction.shuffle import uniform
from collavo.datasets.instruction.source import KINDS
from collavo.errors import ConfigError

MODES = ("weighted", "one_of_each")
_CHUNK = 4096
"""Steps whose kinds are drawn together."""


@dataclass(frozen=True)
class Step:
    """What one step of the optimiser trains on, over all processes.

    Args:
        kind: "image" or "vl" where steps are parted (Dual QLoRA), else "".
        refs: The conversations; a process takes a stretch of them.
    """

    kind: str
    refs: tuple[Ref, ...]


class Plan:
    """Draws the steps of a training from a mix.

    Step n depends on n and the arguments alone: not on the steps before it, nor on the number of
    processes. A training can so go on at any step.

    Args:
        mix: The sources; those of weight 0 are left out.
        batch_size: Conversations of a step; in mode "one_of_each" those of each source.
        seed: Any whole number.
        mode: "weighted": slots are shared out by the sources' weights. "one_of_each": a batch of
            every source each step; the largest source sets how long an epoch is, and smaller ones
            are walked again, each in its own order (CodeFuse's multi-task training).
        image_probability: The probability that a step takes sources of kind "image" only; others
            take those of kind "vl" only. None: steps are not parted.
        group_by_length: Whether batches are of one modality and of similar length.

    Raises:
        ConfigError: A value is not allowed, or steps are parted and a kind has no source.
    """

    def __init__(
        self,
        mix: Mix,
        batch_size: int,
        seed: int,
        mode: str = "weighted",
        image_probability: float | None = None,
        group_by_length: bool = False,
    ) -> None:
        _check(batch_size, mode, image_probability)
        self.mix, self.batch_size, self.mode = mix, batch_size, mode
        self._image_probability = image_probability
        self._kinds_key = f"{seed}/kinds"
        self._chunk = lru_cache(maxsize=None)(self._image_steps)
        used = [s for s, source in enumerate(mix.sources) if source.spec.weight]

        def schedule(chosen: list[int], name: str) -> Schedule:
            return Schedule(mix, chosen, batch_size, seed, name, group_by_length)

        self._parts: dict[str, Schedule] = {}
        if mode == "one_of_each":
            self._parts = {mix.names[s]: schedule([s], "each") for s in used}
        elif image_probability is None:
            self._parts = {"": schedule(used, "")}
        else:
            chances = {"image": image_probability, "vl": 1 - image_probability}
            for kind in KINDS:
                chosen = [s for s in used if mix.sources[s].spec.kind == kind]
                if chosen:
                    self._parts[kind] = schedule(chosen, kind)
                elif chances[kind] > 0:
                    raise ConfigError(
                        f"steps of kind {kind!r} have probability {chances[kind]:g}, and no source "
                        f"with a weight above 0 is of kind={kind}; add one, or set "
                        f"TRAIN.IMAGE_STEPS to {0 if kind == 'image' else 1}"
                    )

    @property
    def samples_per_step(self) -> int:
        """Conversations of a step."""
        return self.batch_size * (len(self._parts) if self.mode == "one_of_each" else 1)

    @property
    def rows_per_epoch(self) -> int:
        """Conversations of a pass: all rows, or those of the largest source in "one_of_each"."""
        rows = [part.rows for part in self._parts.values()]
        return max(rows) if self.mode == "one_of_each" else sum(rows)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a pass; the last one reaches into the next pass."""
        return self.steps_for(1)

    def steps_for(self, epochs: float) -> int:
        """Returns how many steps take the rows `epochs` times."""
        return max(1, math.ceil(self.rows_per_epoch * epochs / self.batch_size - 1e-9))

    def kind(self, number: int) -> str:
        """Returns the kind of step `number`, from 0: "image", "vl", or "" where not parted."""
        if self._image_probability is None:
            return ""
        return "image" if self._image_steps(number, number + 1) else "vl"

    def step(self, number: int) -> Step:
        """Returns step `number`, from 0.

        Raises:
            ValueError: The number is negative.
        """
        if number < 0:
            raise ValueError(f"steps count from 0, got {number}")
        if self.mode == "one_of_each":
            batches = [part.batch(number) for part in self._parts.values()]
            return Step("", tuple(ref for batch in batches for ref in batch))
        kind = self.kind(number)
        place = number
        if kind:
            images = self._image_steps_before(number)
            place = images if kind == "image" else number - images
        return Step(kind, self._parts[kind].batch(place))

    def _image_steps(self, start: int, stop: int) -> int:
        """How many of the steps from `start` to before `stop` are of kind "image"."""
        drawn = uniform(self._kinds_key, start, stop - start)
        return int(np.count_nonzero(drawn < (self._image_probability or 0.0)))

    def _image_steps_before(self, number: int) -> int:
        chunks, rest = divmod(number, _CHUNK)
        whole = sum(self._chunk(c * _CHUNK, (c + 1) * _CHUNK) for c in range(chunks))
        return whole + self._image_steps(number - rest, number)


def _check(batch_size: int, mode: str, image_probability: float | None) -> None:
    if batch_size < 1:
        raise ConfigError(f"a batch has {batch_size} samples; it needs 1 or more")
    if mode not in MODES:
        raise ConfigError(f"TRAIN.DATA_MODE is {mode!r}; it may be {' or '.join(MODES)}")
    if image_probability is None:
        return
    if not 0 <= image_probability <= 1:
        raise ConfigError(f"TRAIN.IMAGE_STEPS is {image_probability}; it may be 0 to 1, or -1")
    if mode == "one_of_each":
        raise ConfigError(
            "TRAIN.DATA_MODE one_of_each takes every source each step, so steps cannot be parted "
            "by kind; set TRAIN.IMAGE_STEPS -1 or TRAIN.DATA_MODE weighted"
        )
