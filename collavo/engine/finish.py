"""After the last answer: checks that every id is there, scores, and writes the results."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.datasets.evaluation.judge.build import judge_of
from collavo.datasets.evaluation.judge.calls import JudgeError
from collavo.engine.board import EngineError
from collavo.engine.fingerprint import image_label
from collavo.engine.plan import rendered
from collavo.engine.store import Stored, writing_failed
from collavo.engine.tasks import Task
from collavo.modeling.weights import BUILTIN
from collavo.records import Record, Sample
from collavo.registry import EVALUATORS
from collavo.results.files import write_lines, write_report
from collavo.results.ranking import auroc, yes_probability
from collavo.results.report import Counts, Flags, Report
from collavo.results.scored import Scored
from collavo.results.statistics import Interval, headline_intervals

if TYPE_CHECKING:
    from collavo.datasets.evaluation.base import Evaluation, Table
    from collavo.engine.models import Model
    from collavo.modeling.architectures.base import Architecture


SUBMISSION = "submission"
"""The folder below a run's for what the benchmark's organisers score."""

logger = logging.getLogger(__name__)


class IncompleteError(EngineError):
    """Samples have neither an answer nor an error: a fault of the engine, so there is no score."""


def finish(
    task: Task,
    stored: Mapping[str, Stored],
    model: Model,
    folder: Path,
    about: Mapping[str, Any],
) -> Report:
    """Scores a run and writes predictions.jsonl and the results files.

    Args:
        task: What was asked.
        stored: What is on disk, by sample id.
        model: What answered.
        folder: The run folder.
        about: Further facts for results.json.

    Raises:
        IncompleteError: A sample has neither answer nor error.
        StoreError: The files cannot be written.
    """
    asked = {s.sample_id for s in task.samples}
    _refuse_missing(asked, stored)
    answers = {i: s.answer for i, s in stored.items() if i in asked and s.answer is not None}
    failures = [
        (s.sample_id, stored[s.sample_id].error or "no answer")
        for s in task.samples
        if s.sample_id not in answers
    ]
    counts = Counts(len(asked), len(answers), len(failures))
    flags = Flags(
        miniature=task.miniature,
        untrained=model.untrained,
        subset=task.subset,
        failures=bool(failures),
        builtin_model=model.named(task.cfg)["weights"] == BUILTIN,
    )
    evaluation: Evaluation | None = None
    tables: list[Table] = []
    parser = ""
    intervals: dict[str, Interval] = {}
    if answers and len(failures) <= task.cfg.EVAL.ALLOW_FAILURES:
        try:
            evaluation, tables, parser, intervals = _evaluate(task, answers, stored, folder)
        except JudgeError as error:  # no score of this dataset; those that follow are still asked
            logger.error("%s: %s", task.name, error)
            about = {**about, "not_judged": str(error)}
        else:
            about = {**about, **_likelihood(task.samples, evaluation, stored)}
            about["submission"] = _submission(task, answers, evaluation, folder)
    published = task.metadata.get("published") or ()
    report = Report(
        task.name, counts, flags, evaluation, tables, failures, published, parser, about, intervals,
        task.notes,
    )  # fmt: skip
    lines = (
        _prediction(task, s, stored[s.sample_id], model.architecture, evaluation)
        for s in task.samples
    )
    try:
        write_lines(folder / "predictions.jsonl", lines)
        write_report(folder, report)
    except OSError as error:
        raise writing_failed(folder / "results.json", error) from error
    return report


def _refuse_missing(asked: Collection[str], stored: Mapping[str, Stored]) -> None:
    missing = [i for i in asked if i not in stored]
    if missing:
        raise IncompleteError(
            f"{len(missing)} of {len(asked)} samples were neither answered nor failed, so there is "
            f"no score: {', '.join(sorted(missing)[:5])}. Start the run again to answer them"
        )


def _evaluate(
    task: Task, answers: Mapping[str, str], stored: Mapping[str, Stored], folder: Path
) -> tuple[Evaluation, list[Table], str, dict[str, Interval]]:
    evaluator = EVALUATORS.get(task.evaluator)(task.cfg.EVAL.PARSER)
    evaluator.judge = judge_of(task.cfg, folder / "judgements.jsonl")
    samples = [s for s in task.samples if s.sample_id in answers]
    metadata = task.metadata.as_dict()
    evaluation = evaluator.evaluate(samples, answers, metadata)
    scored = Scored(evaluator, samples, answers, evaluation, metadata)
    intervals = headline_intervals(scored, task.cfg.EVAL.BOOTSTRAP)
    texts = {}
    for sample in samples:
        record = stored[sample.sample_id]
        texts[sample.sample_id] = record.crayon_text or str(record.extra.get("objects", ""))
    tables = list(evaluation.tables)
    if any(texts.values()):
        tables += evaluator.analyse(samples, evaluation, texts)
    return evaluation, tables, evaluator.parser, intervals


def _submission(
    task: Task, answers: Mapping[str, str], evaluation: Evaluation, folder: Path
) -> list[str]:
    """Writes the organisers' files where answers are hidden; returns their names in the folder."""
    if all(judged.correct is not None for judged in evaluation.per_sample.values()):
        return []
    place = folder / SUBMISSION
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise writing_failed(place, error) from error
    samples = [s for s in task.samples if s.sample_id in answers]
    metadata = {**task.metadata.as_dict(), "name": task.folder_name}
    evaluator = EVALUATORS.get(task.evaluator)(task.cfg.EVAL.PARSER)
    files = evaluator.submission(samples, answers, place, metadata)
    if not files:
        with suppress(OSError):  # files of an earlier launch
            place.rmdir()
    return [file.relative_to(folder).as_posix() for file in files]


def _prediction(
    task: Task,
    sample: Sample,
    stored: Stored,
    architecture: Architecture,
    evaluation: Evaluation | None,
) -> dict[str, Any]:
    """One line of predictions.jsonl: equal in every run of equal content."""
    prompt = rendered(architecture, task.pipeline, sample, stored.crayon_text or None)
    judged = evaluation.per_sample.get(sample.sample_id) if evaluation is not None else None
    row = vars(
        Record(
            sample_id=sample.sample_id,
            question_id=sample.question_id,
            question=sample.question,
            image=image_label(*sample.images),
            category=sample.category,
            prompt=prompt,
            crayon_text=stored.crayon_text,
            answer=stored.answer,
            parsed=judged.parsed if judged is not None else None,
            reference=judged.reference if judged is not None else None,
            correct=judged.correct if judged is not None else None,
            error=stored.error,
        )
    )
    return {name: value for name, value in row.items() if name != "extra"}


def _likelihood(
    samples: Sequence[Sample], evaluation: Evaluation, stored: Mapping[str, Stored]
) -> dict[str, Any]:
    """AUROC of P(yes) where answers were scored by likelihood."""
    scores, labels = [], []
    for sample in samples:
        options = stored[sample.sample_id].extra.get("options")
        probability = yes_probability(options) if options else None
        judged = evaluation.per_sample.get(sample.sample_id)
        if probability is not None and judged is not None and judged.reference in ("yes", "no"):
            scores.append(probability)
            labels.append(judged.reference == "yes")
    if not scores:
        return {}
    return {"likelihood": {"auroc": auroc(scores, labels), "questions": len(scores)}}


def memory_used(device: str) -> dict[str, float]:
    """Peak memory of this process in bytes, on the host and on the GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    used = {"peak_host": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)}
    if device.startswith("cuda"):
        import torch

        used["peak_gpu"] = float(torch.cuda.max_memory_allocated(device))
    return used


def timings(
    wall: float, everyone: Sequence[Mapping[str, float]], answered: int, taken_up: int
) -> dict[str, Any]:
    """Sums what the processes report at their end.

    Args:
        wall: Seconds of this launch's loop.
        everyone: The sums of each process.
        answered: Samples that this launch stored.
        taken_up: Samples that were on disk before.
    """
    sums: dict[str, float] = {}
    for process in everyone:
        for name, value in process.items():
            sums[name] = sums.get(name, 0.0) + value
    computed = sums.get("prefix_tokens", 0.0) + sums.get("suffix_tokens", 0.0)
    unshared = sums.get("tokens_unshared", 0.0)
    return {
        "processes": len(everyone),
        "seconds": round(wall, 3),
        "answered_now": answered,
        "taken_up": taken_up,
        "samples_per_second": round(answered / wall, 3) if wall > 0 else None,
        "seconds_by_part": {
            k.removeprefix("seconds_"): round(v, 3)
            for k, v in sorted(sums.items())
            if k.startswith("seconds_")
        },
        "images": int(sums.get("images", 0)),
        "prefill_tokens": int(computed),
        "prefill_tokens_unshared": int(unshared),
        "prefill_saved": round(unshared / computed, 2) if computed else None,
    }
