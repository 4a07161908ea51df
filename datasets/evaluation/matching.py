"""Finds the sample that each stored answer belongs to: by id, never by order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collavo.datasets.evaluation.answers import loosely_same_question, same_question
from collavo.datasets.evaluation.prediction import Prediction
from collavo.datasets.evaluation.undecided import Undecided, settle
from collavo.records import Sample

_IMAGE_END = re.compile(r"\.(?:jpe?g|png|txt|bmp|gif|webp|tiff?)$", re.IGNORECASE)


@dataclass
class Matching:
    """Which answers belong where.

    Args:
        answers: Raw text by sample id; of several the first.
        unknown: Answers that fit no sample, or several; with the reason.
        missing: Ids of samples without an answer.
        doubled: Ids of samples with several answers, and the places of the later ones.
        judged: Earlier judgements by sample id, where the answers' rows hold any.
    """

    answers: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    judged: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether each sample has one answer and nothing is left over."""
        return not (self.unknown or self.missing or self.doubled)


def match(samples: Sequence[Sample], predictions: Iterable[Prediction]) -> Matching:
    """Matches answers to samples.

    An answer's sample is the one with its `sample_id`; else, among those with its question id
    (or, where none has it, among all), the only one that contradicts neither the category, nor the
    image, nor the question that the answer's row gives.
    """
    predictions = list(predictions)
    index = _Index(samples, predictions)
    found = Matching()
    failed = set()
    undecided: list[Undecided] = []
    decided: dict[str, Prediction] = {}

    def take(prediction: Prediction, sample: Sample) -> None:
        if prediction.answer is None:
            failed.add(sample.sample_id)
        elif sample.sample_id in found.answers:
            found.doubled.append(f"{sample.sample_id} ({prediction.place})")
        else:
            decided[sample.sample_id] = prediction
            found.answers[sample.sample_id] = prediction.answer
            index.answered.add(sample.sample_id)
            if prediction.judged:
                found.judged[sample.sample_id] = prediction.judged

    for prediction in predictions:
        sample, reason = index.find(prediction)
        if sample is None:
            fits = tuple(index.rivals) if reason == _AMBIGUOUS else ()
            undecided.append(Undecided(prediction, reason, fits))
        else:
            take(prediction, sample)
    settled, left = settle(undecided, samples, decided)
    for prediction, sample in settled:
        take(prediction, sample)
    found.unknown = [f"{u.prediction.name} ({u.prediction.place}): {u.reason}" for u in left]
    found.missing = [
        s.sample_id + (" (its row holds no answer)" if s.sample_id in failed else "")
        for s in samples
        if s.sample_id not in found.answers
    ]
    return found


class _Index:
    """The samples by every id and by question."""

    def __init__(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> None:
        self.by_sample_id = {sample.sample_id: sample for sample in samples}
        self.by_id: dict[str, list[Sample]] = {}
        self.by_question: dict[str, list[Sample]] = {}
        self.by_image: dict[str, list[Sample]] = {}
        self.categories = {sample.category.casefold() for sample in samples}
        self.answered: set[str] = set()
        self.rivals: list[Sample] = []
        for sample in samples:
            others = sample.extra.get("other_ids", ())
            for form in {f for i in (sample.question_id, *others) for f in _id_forms(str(i))}:
                self.by_id.setdefault(form, []).append(sample)
            question = loosely_same_question(sample.question)
            self.by_question.setdefault(question, []).append(sample)
            self.by_image.setdefault(_stem(_image_of(sample)), []).append(sample)
        self._read_llava_ids(samples, predictions)

    def _read_llava_ids(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> None:
        """Takes ids as LLaVA's, which name the split, if one occurs that only LLaVA's file has."""
        llava = {str(s.extra["llava_id"]): s for s in samples if "llava_id" in s.extra}
        if any(p.question_id in llava and p.question_id not in self.by_id for p in predictions):
            self.by_id.update({key: [sample] for key, sample in llava.items()})

    def find(self, prediction: Prediction) -> tuple[Sample | None, str]:
        """Returns the sample, or None and the reason."""
        if prediction.sample_id:
            sample = self.by_sample_id.get(prediction.sample_id)
            if sample is None:
                return None, "unknown sample_id"
            return self._only([sample], prediction)
        if not (prediction.question_id or prediction.question or prediction.image):
            if prediction.position is not None:
                return None, "the row of the log gives no question"
            return None, "the row gives neither sample_id nor question_id nor question"
        known = [s for f in _id_forms(prediction.question_id) for s in self.by_id.get(f, ())]
        if not known and prediction.question_id in self.by_sample_id:
            known = [self.by_sample_id[prediction.question_id]]
        if not known and _IMAGE_END.search(prediction.question_id):
            known = self.by_image.get(_stem(prediction.question_id), [])
        if known:
            sample, reason = self._only(known, prediction)
            if sample is not None or reason == _AMBIGUOUS:
                return sample, reason
        # The id does not decide: another numbering. Question, image and category may.
        if prediction.question:
            question = loosely_same_question(prediction.question)
            others = self.by_question.get(question, [])
            if others:
                return self._only(others, prediction)
            return None, DIFFERS if known else "no such question_id and no such question"
        if prediction.image and not known:
            return self._only(self.by_image.get(_stem(prediction.image), []), prediction)
        return None, DIFFERS if known else "unknown question_id"

    def _only(
        self, candidates: Sequence[Sample], prediction: Prediction
    ) -> tuple[Sample | None, str]:
        """Returns the only candidate that the row does not contradict."""
        fits = list({s.sample_id: s for s in candidates}.values())
        named = {c.casefold() for c in prediction.categories} & self.categories
        if named:
            fits = [s for s in fits if s.category.casefold() in named]
        if prediction.image:
            stem = _stem(prediction.image)
            fits = [s for s in fits if _stem(_image_of(s)) in ("", stem)]
        if prediction.question:
            fits = _same_wording(fits, prediction.question)
        if len(fits) > 1 and len({_content(s) for s in fits}) == 1:
            # One question that its file holds twice: each answer takes the next of its samples.
            fits = [s for s in fits if s.sample_id not in self.answered][:1] or fits[:1]
        if len(fits) == 1:
            return fits[0], ""
        self.rivals = fits
        return None, _AMBIGUOUS if fits else DIFFERS


_AMBIGUOUS = "it fits several samples; add category, image or question to its row"
DIFFERS = "the category, image or question of its row is not that of the dataset's question"


def _same_wording(samples: Sequence[Sample], text: str) -> list[Sample]:
    """Keeps the samples whose question is `text`: to the letter, else loosely, else inside it."""
    exact, loose = same_question(text), loosely_same_question(text)
    for test in (
        lambda question: same_question(question) == exact,
        lambda question: loosely_same_question(question) == loose,
        lambda question: loosely_same_question(question) in loose,
    ):
        fits = [sample for sample in samples if test(sample.question)]
        if fits:
            return fits
    return []


def _content(sample: Sample) -> tuple[object, ...]:
    """What makes two samples one question."""
    image = tuple(image.label for image in sample.images)
    key = str(sample.question_id)
    return key, sample.question, image, sample.options, sample.answers, sample.category


def _image_of(sample: Sample) -> str:
    named = sample.extra.get("image")
    if isinstance(named, str) and named:
        return named
    return sample.images[0].label if sample.images and sample.images[0].path else ""


def _stem(path: str) -> str:
    """The file name without its folders and its ending."""
    return _IMAGE_END.sub("", path.replace("\\", "/").rsplit("/", 1)[-1]).casefold()


def _id_forms(value: str) -> list[str]:
    """An id as it stands; a path also without `images/` and its ending, as MME's differ in them."""
    value = value.strip()
    if not value:
        return []
    path = _IMAGE_END.sub("", value.replace("\\", "/").replace("/images/", "/"))
    return [value] if path == value else [value, path]
