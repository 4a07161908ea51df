"""A dataset of yes-no questions on images that are only named, and its scores."""

from __future__ import annotations

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, join
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog
from collavo.records import ImageRef, Sample, one_image
from collavo.registry import EVALUATORS

IMAGES, QUESTIONS = 12, 4


def samples(name: str) -> list[Sample]:
    """Four questions on each of twelve images; a question's number is its category."""
    return [
        Sample(
            f"{name}:{i}-{q}",
            one_image(ImageRef(data=bytes([i]), name=f"{i}.jpg")),
            f"Is it {q}?",
            f"{i}-{q}",
            answers=("yes" if (i + q) % 2 else "no",),
            category=f"q{q}",
        )
        for i in range(IMAGES)
        for q in range(QUESTIONS)
    ]


@EVALUATORS.register("toy_evaluator")
class ToyEvaluator(Evaluator):
    """Share of right answers, in all and by category."""

    def evaluate(self, samples, answers, metadata=None) -> Evaluation:
        judged = {
            s.sample_id: SampleScore(text, s.answers[0], text == s.answers[0])
            for s, text in join(samples, answers)
        }
        groups: dict[str, list[bool]] = {}
        for s in samples:
            groups.setdefault(s.category, []).append(bool(judged[s.sample_id].correct))
        parts = {name: {"accuracy": sum(x) / len(x)} for name, x in groups.items()}
        accuracy = sum(bool(j.correct) for j in judged.values()) / len(judged)
        return Evaluation(
            {"accuracy": accuracy, "groups": parts},
            {"accuracy": accuracy},
            {"accuracy": "fraction"},
            judged,
        )


for _name in ("toy_set", "toy_set2"):
    DatasetCatalog.register(_name, lambda name=_name: samples(name))
    MetadataCatalog.get(_name).set(
        pipeline="pope", evaluator_type="toy_evaluator", answer_type="yes_no"
    )
