"""Headline figures as functions of sums over samples, so that they can be resampled quickly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.records import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What headline figures are made of.

    Args:
        ids: The sample that each row belongs to, or the first of those that it stands for (n).
        rows: What each row adds to the sums (n, k).
        headline: Takes sums (..., k) and returns each figure (...), by name. It must not depend on
            anything else, so that it holds for any multiset of the rows.
    """

    ids: Sequence[str]
    rows: Array
    headline: Callable[[Array], Mapping[str, Array]]


def divide(part: Array, whole: Array) -> Array:
    """Divides element by element; 0 where there is nothing to divide by, as `yes_no.ratio` does."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) != 0)


def mean_of_present(values: Array, sizes: Array) -> Array:
    """The mean over the last axis of those groups that have any sample.

    Args:
        values: A figure of each group (..., groups).
        sizes: How many samples each group has (..., groups).
    """
    present = np.asarray(sizes) > 0
    return divide(np.where(present, values, 0).sum(-1), present.sum(-1).astype(np.float64))


def mean_tally(figures: Mapping[str, tuple[float, Mapping[str, float]]]) -> Tally:
    """Makes the tally of figures each of which is a scaled mean over some of the samples.

    Args:
        figures: By name: the scale (100 for percent), and the score of each sample that counts, by
            sample id.
    """
    ids = list(dict.fromkeys(i for _, scores in figures.values() for i in scores))
    rows = np.zeros((len(ids), 2 * len(figures)))
    for column, (_, scores) in enumerate(figures.values()):
        for row, sample_id in enumerate(ids):
            if sample_id in scores:
                rows[row, 2 * column : 2 * column + 2] = scores[sample_id], 1

    def headline(sums: Array) -> dict[str, Array]:
        return {
            name: scale * divide(sums[..., 2 * k], sums[..., 2 * k + 1])
            for k, (name, (scale, _)) in enumerate(figures.items())
        }

    return Tally(ids, rows, headline)


def confusion_figures(counts: Array, unparsed_is_no: bool) -> dict[str, Array]:
    """Computes the figures of `yes_no.Confusion` for many counts at once, as fractions.

    Args:
        counts: The six counts in the order of its fields (..., 6).
        unparsed_is_no: As its field.

    Returns:
        accuracy, precision, recall and f1 (...).
    """
    tp, fp, tn, fn, other_yes, _ = np.moveaxis(counts, -1, 0)
    precision = divide(tp, tp + fp)
    recall = divide(tp, tp + fn + other_yes * unparsed_is_no)
    return {
        "accuracy": divide(tp + tn, counts.sum(-1)),
        "precision": precision,
        "recall": recall,
        "f1": divide(2 * precision * recall, precision + recall),
    }


def renamed(sample: Sample, number: int, *fields: str) -> Sample:
    """Returns a sample as one about another image, for a resample that holds its image again.

    Args:
        sample: The sample.
        number: Which copy, from 1.
        fields: Further fields of `extra` by which an evaluator groups samples.
    """
    mark = f"~{number}"
    extra: dict[str, Any] = dict(sample.extra)
    for name in ("image", "group", *fields):
        if extra.get(name) not in (None, ""):
            extra[name] = f"{extra[name]}{mark}"
    # The paths stay as they are: nothing is read, and evaluators group by the label.
    images = tuple(replace(image, name=f"{image.label}{mark}") for image in sample.images)
    return replace(
        sample,
        sample_id=f"{sample.sample_id}{mark}",
        question_id=f"{sample.question_id}{mark}",
        images=images,
        extra=extra,
    )
