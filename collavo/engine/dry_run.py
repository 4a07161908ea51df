"""What a run would take: questions, images, tokens, memory and time, from a small probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collavo.engine.display import words
from collavo.engine.plan import Unit, make_units
from collavo.engine.tasks import Task
from collavo.errors import EXIT_OK
from collavo.terminal import say

if TYPE_CHECKING:
    from collavo.engine.accelerator import Processes
    from collavo.engine.models import Model

PROBE = 20
"""Samples that are answered for the estimate; their answers are not kept."""


def plan_only(tasks: Sequence[Task]) -> int:
    """Prints what can be said without a model."""
    for task in tasks:
        _print(task.name, _counts(task, make_units(task.samples)))
    return EXIT_OK


def dry_run(task: Task, model: Model, processes: Processes) -> int:
    """Prints the plan of one dataset, with time and memory from `PROBE` samples.

    Args:
        task: What would be asked.
        model: What would answer.
        processes: How many would share the work; only the main one probes.
    """
    if not processes.is_main:
        return EXIT_OK
    units = make_units(task.samples)
    rows = _counts(task, units)
    rows += _probe(task, model, units, processes.world)
    _print(task.name, rows)
    return EXIT_OK


def _counts(task: Task, units: Sequence[Unit]) -> list[tuple[str, str]]:
    images = len({image.label for unit in units for image in unit.images})
    questions = len(task.samples)
    shared = f"{questions / images:.1f}" if images else "-"
    return [
        ("questions", f"{questions}"),
        ("images", f"{images}"),
        ("questions an image", shared),
        ("pipeline", type(task.pipeline).__name__),
        ("miniature", "yes" if task.miniature else "no"),
        ("subset", "yes" if task.subset else "no"),
    ]


def _probe(
    task: Task, model: Model, units: Sequence[Unit], processes: int
) -> list[tuple[str, str]]:
    from collavo.engine.assemble import assemble
    from collavo.engine.evaluate import DoneFilter
    from collavo.engine.limits import MEMORY_SHARE, free_memory
    from collavo.engine.store import Stored

    taken: list[Stored] = []
    work = assemble(task, model, None, DoneFilter({}), taken.extend, processes)
    chosen = sorted(_spread(units), key=lambda u: len(u.samples))
    warm, rest = chosen[:1], chosen[1:] or chosen[:1]  # the first batch of a process is slow
    work.answerer.run([work.loader.load(unit) for unit in warm])
    before = dict(work.stats.sums)
    count_before = len(taken)
    work.answerer.run([work.loader.load(unit) for unit in rest])
    sums = {k: v - before.get(k, 0.0) for k, v in work.stats.sums.items()}
    asked = max(1, len(taken) - count_before)
    failed = sum(1 for t in taken if t.answer is None)

    images = max(1.0, sums.get("images", 0.0))
    parts = ("segmentation", "copy", "prefill")
    image_seconds = sum(sums.get(f"seconds_{p}", 0.0) for p in parts) / images
    question_seconds = sum(sums.get(f"seconds_{p}", 0.0) for p in ("tokens", "answers")) / asked
    all_images = sum(len(u.images) for u in units)
    questions = len(task.samples)
    seconds = (all_images * image_seconds + questions * question_seconds) / processes

    prefix, suffix = sums.get("prefix_tokens", 0.0), sums.get("suffix_tokens", 0.0)
    computed = all_images * prefix / images + questions * suffix / asked
    unshared = questions * sums.get("tokens_unshared", 0.0) / asked
    weights = sum(p.numel() * p.element_size() for p in model.architecture.parameters())
    free = free_memory(model.device)
    limits = work.limits
    return [
        ("prefill tokens", f"{computed:,.0f}"),
        ("prefill tokens, nothing shared", f"{unshared:,.0f}"),
        ("dedupe factor", f"{unshared / computed:.1f}" if computed else "-"),
        ("weights", f"{weights / 1e9:.2f} GB"),
        ("free memory", f"{free / 1e9:.1f} GB, of which {MEMORY_SHARE:.0%} for prefixes"),
        ("images at once", f"{limits.images}"),
        ("tokens a decoding batch", f"{limits.row_tokens:,}"),
        ("seconds an image", f"{image_seconds:.3f}"),
        ("seconds a question", f"{question_seconds:.3f}"),
        ("estimated time", f"{words(seconds)} with {processes} process(es)"),
        ("failed in the probe", f"{failed} of {len(taken)}"),
    ]


def _spread(units: Sequence[Unit]) -> list[Unit]:
    """Takes units from all over the dataset until `PROBE` samples are reached."""
    chosen: list[Unit] = []
    count = 0
    step = max(1, len(units) // PROBE)
    for unit in units[::step]:
        part = unit.samples[: max(1, PROBE - count)]
        chosen.append(Unit(unit.key, unit.images, part, unit.group, unit.cost))
        count += len(part)
        if count >= PROBE:
            break
    return chosen


def _print(name: str, rows: Sequence[tuple[str, str]]) -> None:
    say(f"{name}: dry run, nothing is stored")
    for label, value in rows:
        say(f"  {label:<32} {value}")
