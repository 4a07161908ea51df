"""Puts the parts of the loop together for one dataset and one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.engine.asking import Asker
from collavo.engine.compute import Answerer
from collavo.engine.crayons import CrayonMaker, picture_paths
from collavo.engine.evaluate import DoneFilter
from collavo.engine.feature_cache import open_features
from collavo.engine.images import ImageLoader
from collavo.engine.likelihood import OptionScorer
from collavo.engine.limits import Limits
from collavo.engine.models import Model, generation_of
from collavo.engine.overlap import Overlap, overlaps
from collavo.engine.plan import Unit, make_units
from collavo.engine.prepare import Preparer, Stats
from collavo.engine.store import Stored
from collavo.engine.tasks import Task

if TYPE_CHECKING:
    from collavo.engine.crayons import SegmentCache

PROMPT_TOKENS = 128
"""Expected tokens of a prompt's shared part besides the image."""


@dataclass(frozen=True)
class Work:
    """What one process works with."""

    units: list[Unit]
    loader: ImageLoader
    crayons: CrayonMaker
    answerer: Answerer
    stats: Stats
    limits: Limits
    overlap: Overlap | None = None


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
    pictures = {}
    if model.segmenter is not None and folder is not None:
        drawn = [u for u in units if u.images][: cfg.VIS.SAMPLES]
        keys = [(u.key, u.samples[0].sample_id) for u in drawn]
        pictures = picture_paths(folder / "pictures", keys)
    crayons = CrayonMaker(model.segmenter, cfg.CRAYON.MODE, segment_cache(cfg, model), pictures)
    stats = Stats()
    rows = -(-task.batch_size // world)  # rounded up
    expected = architecture.expected_image_tokens() + PROMPT_TOKENS
    limits = Limits.guess(device, expected, cfg.EVAL.TOKEN_BUDGET, rows)
    score = None
    if cfg.EVAL.SCORING == "likelihood":
        score = OptionScorer(architecture, task.pipeline)
    preparer = Preparer(
        architecture, task.pipeline, crayons, device, stats, share_words=score is not None
    )
    generation, reuse = generation_of(cfg), cfg.EVAL.REUSE
    features = open_features(cfg.VISION.CACHE, model)
    asker = Asker(architecture, generation, device, limits, stats, reuse, score, features)
    answerer = Answerer(preparer, asker, emit, device, reuse)
    loader = ImageLoader(model.mapper, architecture.prepare, done, cfg.DATALOADER.NUM_WORKERS)
    ahead = None
    if crayons.segments_images and reuse != "none" and overlaps(cfg.EVAL.OVERLAP, device):
        ahead = Overlap(preparer.segment, device)
    return Work(units, loader, crayons, answerer, stats, limits, ahead)


def segment_cache(cfg: Any, model: Model) -> SegmentCache | None:
    """Opens the segments of earlier runs, where CRAYON.CACHE names a folder."""
    if not cfg.CRAYON.CACHE or model.segmenter is None:
        return None
    from collavo.engine.crayon_cache import open_cache

    architecture = model.architecture
    return open_cache(
        cfg.CRAYON.CACHE, model.segmenter, architecture.image_size, architecture.prepare
    )
