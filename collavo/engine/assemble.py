"""Puts the parts of the loop together for one dataset and one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.engine.asking import Asker, Score
from collavo.engine.compute import Answerer
from collavo.engine.crayons import CrayonMaker
from collavo.engine.evaluate import DoneFilter
from collavo.engine.feature_cache import open_features
from collavo.engine.images import ImageLoader
from collavo.engine.likelihood import OptionScorer
from collavo.engine.limits import Limits
from collavo.engine.models import Model, generation_of
from collavo.engine.overlap import Overlap, overlaps
from collavo.engine.pictures import Pictures
from collavo.engine.plan import Unit, make_units
from collavo.engine.prepare import Preparer, Stats
from collavo.engine.store import Stored
from collavo.engine.tasks import Task
from collavo.pipeline.base import Pipeline

if TYPE_CHECKING:
    from collavo.engine.crayons import SegmentCache

PROMPT_TOKENS = 128
"""Expected tokens of a prompt's shared part besides the image."""


@dataclass(frozen=True)
class Work:
    """What one process works with."""

    units: list[Unit]
    loader: ImageLoader
    answerer: Answerer
    stats: Stats
    limits: Limits
    overlap: Overlap | None = None
    pictures: Pictures | None = None


def assemble(
    task: Task,
    model: Model,
    folder: Path | None,
    done: DoneFilter,
    emit: Callable[[list[Stored]], None],
    world: int = 1,
) -> Work:
    """Builds the parts of the loop.

    Args:
        task: What to answer.
        model: What answers.
        folder: The run folder, for pictures; None draws none.
        done: What is on disk already.
        emit: Takes answers as they come.
        world: Processes that share the batch size.
    """
    cfg = task.cfg
    units = make_units(task.samples)
    architecture, device = model.architecture, model.device
    pictures = None
    if model.segmenter is not None and folder is not None:
        drawn = [u for u in units if u.images][: cfg.VIS.SAMPLES]
        names = model.segmenter.class_names
        pictures = Pictures(folder / "pictures", drawn, names, done.answer_of)
    crayons = CrayonMaker(model.segmenter, cfg.CRAYON.MODE, segment_cache(cfg, model))
    stats = Stats()
    rows = -(-task.batch_size // world)  # rounded up
    limits = first_limits(cfg, model, rows)
    score = None
    if cfg.EVAL.SCORING == "likelihood":
        score = OptionScorer(architecture, task.pipeline)
    preparer, asker = asking_parts(cfg, model, task.pipeline, crayons, limits, stats, score)
    reuse = cfg.EVAL.REUSE
    answerer = Answerer(preparer, asker, emit, device, reuse, pictures)
    loader = ImageLoader(model.mapper, architecture.prepare, done, cfg.DATALOADER.NUM_WORKERS)
    ahead = None
    if crayons.segments_images and reuse != "none" and overlaps(cfg.EVAL.OVERLAP, device):
        ahead = Overlap(preparer.segment, device)
    return Work(units, loader, answerer, stats, limits, ahead, pictures)


def first_limits(cfg: Any, model: Model, rows: int = 0) -> Limits:
    """Sets the sizes of batches out before anything is measured.

    Args:
        cfg: The configuration.
        model: What answers.
        rows: Questions in a decoding batch, 0 for no limit of its own.
    """
    expected = model.architecture.expected_image_tokens() + PROMPT_TOKENS
    return Limits.guess(model.device, expected, cfg.EVAL.TOKEN_BUDGET, rows)


def asking_parts(
    cfg: Any,
    model: Model,
    pipeline: Pipeline,
    crayons: CrayonMaker,
    limits: Limits,
    stats: Stats,
    score: Score | None = None,
) -> tuple[Preparer, Asker]:
    """Builds what makes inputs and what asks them, for runs and for `Predictor` alike.

    Args:
        cfg: The configuration.
        model: What answers.
        pipeline: Words the questions.
        crayons: Makes Crayon Prompts.
        limits: Sizes of batches.
        stats: Where times and tokens are summed.
        score: Answers by likelihood instead of generating.
    """
    architecture, device = model.architecture, model.device
    preparer = Preparer(
        architecture, pipeline, crayons, device, stats, share_words=score is not None
    )
    generation, reuse = generation_of(cfg), cfg.EVAL.REUSE
    features = open_features(cfg.VISION.CACHE, model)
    asker = Asker(architecture, generation, device, limits, stats, reuse, score, features)
    return preparer, asker


def segment_cache(cfg: Any, model: Model) -> SegmentCache | None:
    """Opens the segments of earlier runs, where CRAYON.CACHE names a folder."""
    if not cfg.CRAYON.CACHE or model.segmenter is None:
        return None
    from collavo.engine.crayon_cache import open_cache

    architecture = model.architecture
    return open_cache(
        cfg.CRAYON.CACHE, model.segmenter, architecture.image_size, architecture.prepare
    )
