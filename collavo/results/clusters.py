"""Samples that hang together: questions on one image are no independent observations."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from collavo.datasets.registration.readers.cells import NoCell
from collavo.records import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Grouping(Protocol):
    """What an evaluator knows of how samples hang together."""

    def together(self, sample: Sample) -> str:
        """Names what is judged as one; "" for none."""
        ...

    def stratum(self, sample: Sample) -> str:
        """Names the part of fixed size that the sample belongs to; "" for none."""
        ...


@dataclass(frozen=True)
class Clusters:
    """Which samples are drawn together.

    Args:
        of: The cluster of each sample, by sample id; clusters count from 0.
        strata: The clusters of each stratum, in ascending order.
    """

    of: dict[str, int]
    strata: tuple[NDArray[np.int64], ...]

    def __len__(self) -> int:
        return sum(len(stratum) for stratum in self.strata)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a variance between clusters within strata."""
        return sum(len(stratum) - 1 for stratum in self.strata)


def find_clusters(evaluator: Grouping, samples: Sequence[Sample]) -> Clusters:
    """Joins the samples of one image and of one unit; a sample without an image is by itself.

    Args:
        evaluator: Says what is judged as one, and what the parts of fixed size are.
        samples: The dataset.
    """
    keys = [(_image_key(s), _unit_key(evaluator, s), ("sample", s.sample_id)) for s in samples]
    links = _Links()
    for image, unit, alone in keys:
        present = [key for key in (image, unit) if key is not None] or [alone]
        links.join(present)
    numbers: dict[Hashable, int] = {}
    of: dict[str, int] = {}
    parts: dict[int, set[str]] = {}
    for sample, (image, unit, alone) in zip(samples, keys, strict=True):
        root = links.root(image or unit or alone)
        number = of[sample.sample_id] = numbers.setdefault(root, len(numbers))
        parts.setdefault(number, set()).add(evaluator.stratum(sample))
    strata: dict[frozenset[str], list[int]] = {}
    for number, names in parts.items():
        strata.setdefault(frozenset(names), []).append(number)
    return Clusters(of, tuple(np.array(members) for members in strata.values()))


class _Links:
    """Sets of keys that are joined step by step."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def root(self, key: Hashable) -> Hashable:
        self._parent.setdefault(key, key)
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key

    def join(self, keys: Sequence[Hashable]) -> None:
        first = self.root(keys[0])
        for key in keys[1:]:
            self._parent[self.root(key)] = first


def _unit_key(evaluator: Grouping, sample: Sample) -> Hashable | None:
    unit = evaluator.together(sample)
    return ("unit", unit) if unit else None


def _image_key(sample: Sample) -> Hashable | None:
    """Tells the images of samples apart without reading a file."""
    if not sample.images or isinstance(sample.images[0].cell, NoCell):
        named = sample.extra.get("image")
        return ("named", sample.category, named) if isinstance(named, str) and named else None
    return ("images", *(image.place for image in sample.images))
