"""Answers that only repeat what the dataset holds: its references, or its questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collavo.datasets.evaluation.answers import loosely_same_question
from collavo.records import Sample


def repeat_questions(samples: Sequence[Sample], answers: Mapping[str, str]) -> bool:
    """Tells whether every answer is its own question, or the whole prompt around it."""
    return bool(samples) and all(_asks_again(s, answers[s.sample_id]) for s in samples)


def repeat_references(samples: Sequence[Sample], answers: Mapping[str, str]) -> bool:
    """Tells whether every answer is its reference to the letter, as no model writes all of them.

    A hidden reference says nothing; without any that is known nothing is told.
    """
    known = [s for s in samples if s.answers]
    return bool(known) and all(answers[s.sample_id] in _written(s) for s in known)


def _asks_again(sample: Sample, answer: str) -> bool:
    question = loosely_same_question(sample.question)
    # an empty question is inside every text
    return bool(question) and question in loosely_same_question(answer)


def _written(sample: Sample) -> set[str]:
    """The references as their file may write them: a right option by its letter or its text."""
    options = sample.extra.get("choices")
    options = options if isinstance(options, Mapping) else {}
    return {*sample.answers, *(options[a] for a in sample.answers if a in options)}
