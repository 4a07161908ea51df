"""Answers random samples again, one at a time with nothing shared, and counts what differs."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

import torch

from collavo.engine.crayons import CrayonMaker
from collavo.engine.images import ImageLoader
from collavo.engine.models import Model, generation_of
from collavo.engine.plan import make_units
from collavo.engine.prepare import Preparer, Stats
from collavo.engine.store import Stored
from collavo.engine.tasks import Task
from collavo.records import Sample

logger = logging.getLogger(__name__)


def verify(
    task: Task, model: Model, stored: Mapping[str, Stored], beat: Callable[[], None]
) -> dict[str, Any]:
    """Draws EVAL.VERIFY answered samples and answers each by itself through `generate`.

    Args:
        task: What was asked.
        model: What answered.
        stored: The answers, by sample id.
        beat: Called before each sample.

    Returns:
        "samples": how many were answered again; "flips": sample_id, stored and alone of each whose
        text differs.
    """
    answered = [s for s in task.samples if stored[s.sample_id].answer is not None]
    count = min(task.cfg.EVAL.VERIFY, len(answered))
    drawn = random.Random(task.cfg.RANDOM_SEED).sample(answered, count)
    logger.info("%s: answering %d samples again, one at a time", task.name, count)
    flips = []
    again = _Alone(task, model)
    for sample in drawn:
        beat()
        text = again.answer(sample)
        if text != stored[sample.sample_id].answer:
            flips.append(
                {
                    "sample_id": sample.sample_id,
                    "stored": stored[sample.sample_id].answer,
                    "alone": text,
                }
            )
    return {"samples": count, "flips": flips}


class _Alone:
    """Answers one sample at a time, from the image's file on."""

    def __init__(self, task: Task, model: Model) -> None:
        self._model = model
        self._generation = generation_of(task.cfg)
        crayons = CrayonMaker(model.segmenter, task.cfg.CRAYON.MODE)
        self._preparer = Preparer(model.architecture, task.pipeline, crayons, model.device, Stats())
        self._loader = ImageLoader(
            model.mapper, model.architecture.prepare, lambda sample, digest: False, workers=0
        )

    @torch.inference_mode()
    def answer(self, sample: Sample) -> str | None:
        """Returns the text, None where the image cannot be used any more."""
        loaded = self._loader.load(make_units([sample])[0])
        if loaded.error is not None:
            return None
        batch = self._preparer.prepare([loaded], share=False)
        return self._model.architecture.generate(
            [batch.rows[0].tokens], batch.visuals, batch.crayon, self._generation
        )[0]
