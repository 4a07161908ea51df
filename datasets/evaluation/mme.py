"""MME's scores (Fu et al., 2023, arXiv:2306.13394)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.evaluation.parsing import Parser, parser_names, parser_of
from collavo.datasets.evaluation.tally import Tally, divide
from collavo.datasets.evaluation.yes_no import Confusion, ratio
from collavo.datasets.registration.mme_tree import COGNITION, PERCEPTION, TASKS
from collavo.errors import DataError
from collavo.records import Sample
from collavo.registry import EVALUATORS

if TYPE_CHECKING:
    from collavo.datasets.evaluation.tally import Array

QUESTIONS = 2374
"""Questions of the whole benchmark."""

_Pairs = Sequence[tuple[Sample, str]]


@EVALUATORS.register("mme")
class MmeEvaluator(Evaluator):
    """MME: accuracy and accuracy+ per task in percent, their sum as score, perception, cognition.

    Accuracy+ is the share of images both of whose questions are answered right. The two are found
    by task and image, whatever the order. Source: calculation.py of MME's eval_tool.
    """

    family = "mme"
    one_reference = True

    def evaluate(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        pairs = [(sample, text) for sample, text in join(samples, answers) if sample.answers]
        parser = parser_of("mme", self.parser)
        images = _by_image(pairs)
        tasks = _task_scores(images, parser)
        headline = _headline(tasks)
        scores: dict[str, Any] = {"tasks": tasks, **headline}
        scores["parsers"] = {
            name: _headline(_task_scores(images, parser_of("mme", name)))
            for name in parser_names("mme")
        }
        return Evaluation(
            scores=scores,
            headline=headline,
            units={
                "perception": "points of 2000",
                "cognition": "points of 800",
                "total": "points of 2800",
                "score": "points of 200",
                "accuracy": "percent",
                "accuracy_plus": "percent",
            },
            per_sample={
                sample.sample_id: _judged(sample, answers[sample.sample_id], parser)
                for sample in samples
            },
            notes=_notes(samples, images, tasks, self.parser),
            tables=[_table(tasks, headline)],
        )

    def tally(
        self,
        samples: Sequence[Sample],
        answers: Mapping[str, str],
        evaluation: Evaluation,
    ) -> Tally:
        tasks = _by_image([(sample, "") for sample in samples if sample.answers])
        names = list(tasks)
        ids: list[str] = []
        rows: list[Array] = []
        for number, images in enumerate(tasks.values()):
            for group in images.values():
                right = [bool(evaluation.per_sample[s.sample_id].correct) for s, _ in group]
                row = np.zeros((len(names), 4))
                row[number] = sum(right), len(right), len(right) == 2 and all(right), 1
                ids.append(group[0][0].sample_id)
                rows.append(row.ravel())

        def headline(sums: Array) -> dict[str, Array]:
            counts = sums.reshape(*sums.shape[:-1], len(names), 4)
            right, questions, both, images = np.moveaxis(counts, -1, 0)
            parts = {
                "accuracy": 100 * divide(right, questions),
                "accuracy_plus": 100 * divide(both, images),
            }
            scores = parts["accuracy"] + parts["accuracy_plus"]
            by_task = {
                f"tasks.{name}.{figure}": values[..., number]
                for figure, values in {**parts, "score": scores}.items()
                for number, name in enumerate(names)
            }
            kinds = {"perception": PERCEPTION, "cognition": COGNITION}
            found = {
                kind: scores[..., [name in members for name in names]].sum(-1)
                for kind, members in kinds.items()
            }
            return found | {"total": scores.sum(-1)} | by_task

        return Tally(ids, np.array(rows).reshape(len(ids), -1), headline)

    def together(self, sample: Sample) -> str:
        return f"{sample.category}/{_image_of(sample)}"

    def stratum(self, sample: Sample) -> str:
        return sample.category


def _image_of(sample: Sample) -> str:
    """What the two questions about one image have in common."""
    if sample.extra.get("image"):
        return str(sample.extra["image"])
    return sample.images[0].label if sample.images else str(sample.question_id)


def _by_image(pairs: _Pairs) -> dict[str, dict[str, list[tuple[Sample, str]]]]:
    """Groups by task and image.

    Raises:
        DataError: A task is unknown, or there are more than two questions about an image.
    """
    found: dict[str, dict[str, list[tuple[Sample, str]]]] = {}
    for sample, text in pairs:
        task = sample.category
        if task not in TASKS:
            raise DataError(
                f"sample {sample.sample_id!r}: {task!r} is no task of MME; "
                f"its tasks: {', '.join(TASKS)}"
            )
        group = found.setdefault(task, {}).setdefault(_image_of(sample), [])
        group.append((sample, text))
        if len(group) > 2:
            raise DataError(
                f"MME asks two questions about each image; {task} has more about "
                f"{_image_of(sample)!r}: {', '.join(repr(s.sample_id) for s, _ in group)}"
            )
    return {task: found[task] for task in TASKS if task in found}


def _judged(sample: Sample, text: str, parser: Parser) -> SampleScore:
    parsed = parser.parse(text)
    if not sample.answers:
        return SampleScore(parsed, None, None)
    label = sample.answers[0].strip().lower()
    return SampleScore(parsed, label, parsed == label)


def _task_scores(
    tasks: Mapping[str, Mapping[str, _Pairs]], parser: Parser
) -> dict[str, dict[str, float]]:
    scores = {}
    for task, images in tasks.items():
        judged = {
            image: [_judged(sample, text, parser) for sample, text in group]
            for image, group in images.items()
        }
        flat = [score for group in judged.values() for score in group]
        counts = Confusion.of(
            ((str(score.parsed), str(score.reference)) for score in flat), parser.unparsed_is_no
        )
        both = sum(len(group) == 2 and all(s.correct for s in group) for group in judged.values())
        accuracy, accuracy_plus = counts.accuracy * 100, ratio(both, len(judged)) * 100
        scores[task] = {
            "accuracy": accuracy,
            "accuracy_plus": accuracy_plus,
            "score": accuracy + accuracy_plus,
            **{k: v for k, v in counts.figures().items() if k != "accuracy"},
            "images": len(judged),
        }
    return scores


def _headline(tasks: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    def total(names: Sequence[str]) -> float:
        return float(sum(tasks[name]["score"] for name in names if name in tasks))

    perception, cognition = total(PERCEPTION), total(COGNITION)
    return {"perception": perception, "cognition": cognition, "total": perception + cognition}


def _notes(
    samples: Sequence[Sample],
    images: Mapping[str, Mapping[str, _Pairs]],
    tasks: Mapping[str, Any],
    parser: str,
) -> list[str]:
    notes = [f"Answers are read by the rule {parser!r}."]
    if len(samples) != QUESTIONS:
        notes.append(f"Scored on {len(samples)} questions; the whole of MME has {QUESTIONS}.")
    absent = [task for task in TASKS if task not in tasks]
    if absent:
        notes.append(f"Not in the sums, because nothing of it was scored: {', '.join(absent)}.")
    halves = sum(len(group) == 1 for groups in images.values() for group in groups.values())
    if halves:
        notes.append(
            f"{halves} images have one question answered; they count as wrong in accuracy+."
        )
    return notes


def _table(tasks: Mapping[str, Mapping[str, float]], headline: Mapping[str, float]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [name, int(t["questions"]), t["accuracy"], t["accuracy_plus"], t["score"], int(t["other"])]
        for name, t in tasks.items()
    ]
    for name in ("perception", "cognition", "total"):
        rows.append([name, None, None, None, headline[name], None])
    return Table("MME", ("task", "questions", "accuracy", "accuracy+", "score", "unreadable"), rows)
