"""Answers that fit several samples, or name none: what can still be told without guessing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collavo.datasets.evaluation.answers import loosely_same_question
from collavo.datasets.evaluation.prediction import Prediction
from collavo.records import Sample


@dataclass(frozen=True)
class Undecided:
    """An answer that no id, question, image or category decides.

    Args:
        prediction: The answer.
        reason: Why.
        fits: The samples that it may belong to.
    """

    prediction: Prediction
    reason: str
    fits: tuple[Sample, ...] = ()


def settle(
    undecided: Sequence[Undecided],
    samples: Sequence[Sample],
    decided: Mapping[str, Prediction],
) -> tuple[list[tuple[Prediction, Sample]], list[Undecided]]:
    """Decides what is sure.

    - lmms-eval numbers a log's rows as its dataset's (`doc_id`). Where the questions of all rows
      are those of our samples with the same numbers, and no decided answer says otherwise, the
      numbers decide.
    - Of a log, answers that are all the same are dealt to as many samples in any way: POPE asks a
      question in several splits under one id, and lmms-eval leaves the split out.

    Args:
        undecided: The answers in question.
        samples: The dataset, in file order.
        decided: The answers that are decided, by sample id.

    Returns:
        The pairs that are sure, and what is left.
    """
    found: list[tuple[Prediction, Sample]] = []
    taken = set(decided)
    rest = list(undecided)
    if _numbered_alike([u.prediction for u in undecided], samples, decided):
        rest = []
        for item in undecided:
            sample = samples[item.prediction.position or 0]
            fits = not item.fits or sample in item.fits
            if fits and sample.sample_id not in taken:
                found.append((item.prediction, sample))
                taken.add(sample.sample_id)
            else:
                rest.append(item)
    groups: dict[frozenset[str], list[Undecided]] = {}
    for item in rest:
        open_fits = frozenset(s.sample_id for s in item.fits if s.sample_id not in taken)
        groups.setdefault(open_fits, []).append(item)
    left = []
    for ids, items in groups.items():
        answers = {item.prediction.answer for item in items}
        of_log = all(item.prediction.position is not None for item in items)
        same = len(ids) == len(items) and len(answers) == 1 and None not in answers
        if ids and of_log and same:
            owners = sorted((s for s in items[0].fits if s.sample_id in ids), key=_key)
            found += [(item.prediction, s) for item, s in zip(items, owners, strict=True)]
        else:
            left += items
    return found, left


def _key(sample: Sample) -> str:
    return sample.sample_id


def _numbered_alike(
    predictions: Iterable[Prediction],
    samples: Sequence[Sample],
    decided: Mapping[str, Prediction],
) -> bool:
    """Whether the numbers of a log's rows are those of our samples."""
    places = {sample.sample_id: number for number, sample in enumerate(samples)}
    if any(p.position is not None and p.position != places[i] for i, p in decided.items()):
        return False
    for prediction in predictions:
        number = prediction.position
        if number is None or not 0 <= number < len(samples) or not prediction.question:
            return False
        asked = loosely_same_question(samples[number].question)
        if not asked or asked not in loosely_same_question(prediction.question):
            return False
    return True
