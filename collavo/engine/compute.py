"""Answers loaded images, and lets no failure reach further than the samples it concerns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from collavo.engine.asking import Answer, Asker
from collavo.engine.board import EngineError
from collavo.engine.images import Loaded, describe
from collavo.engine.levels import Ladder
from collavo.engine.limits import free_cached_memory, halves, is_fatal, is_out_of_memory
from collavo.engine.prepare import Batch, Preparer, Row
from collavo.engine.store import Stored
from collavo.errors import DataError, UserError
from collavo.records import Sample

if TYPE_CHECKING:
    from collavo.engine.pictures import Pictures

logger = logging.getLogger(__name__)

HOPELESS = 20
"""Samples that fail in computing, with none answered yet, after which the run is given up."""

UNSHARED_ROWS = 8
"""Questions in a batch where nothing is shared and no batch size is given."""


class HopelessError(EngineError):
    """Nothing that was computed so far could be computed."""


class Answerer:
    """Answers the questions of loaded images and hands each batch of answers on at once.

    Args:
        preparer: Makes model inputs.
        asker: Asks the model.
        emit: Takes answers as they come.
        device: The torch device string.
        reuse: "prefix", "vision" or "none".
        pictures: Draws the first images with their answers.
    """

    def __init__(
        self,
        preparer: Preparer,
        asker: Asker,
        emit: Callable[[list[Stored]], None],
        device: str = "cpu",
        reuse: str = "prefix",
        pictures: Pictures | None = None,
    ) -> None:
        self._preparer, self._asker, self._emit = preparer, asker, emit
        self._pictures = pictures
        self._device, self._reuse = device, reuse
        self._answered = self._failed = 0

    @property
    def ladder(self) -> Ladder:
        """The level of reuse of each kind of prompt."""
        return self._asker.ladder

    @property
    def images_at_once(self) -> int:
        """How many units to hand over together."""
        return self._asker.limits.images

    def run(self, items: Sequence[Loaded]) -> None:
        """Answers all pending questions; one that cannot be answered is handed on as failed.

        Args:
            items: Units; `pending` is empty afterwards.

        Raises:
            HopelessError: Nothing can be computed at all.
        """
        for item in items:
            if item.error is not None:
                self._fail(item, item.error)
        kinds: dict[object, list[Loaded]] = {}  # units of equal shapes are computed together
        for item in sorted((i for i in items if i.pending), key=lambda i: not i.unit.images):
            kinds.setdefault(tuple(v.shape_key for v in item.visuals), []).append(item)
        for kind in kinds.values():
            for batch in self._apart(kind) if self._reuse == "none" else [kind]:
                if batch:
                    self._run(batch)

    def run_alone(self, item: Loaded, sample: Sample) -> None:
        """Answers one pending question of a unit in a batch of its own."""
        self.run([replace(item, pending=[sample])])
        item.pending.remove(sample)

    def run_one_by_one(self, item: Loaded, begin: Callable[[Sample], None]) -> None:
        """Answers a unit's questions in batches of one; each is told to `begin` first."""
        with self._asker.one_by_one(begin):
            self.run([item])

    def _apart(self, items: Sequence[Loaded]) -> list[list[Loaded]]:
        """Makes each question a unit of its own, so that nothing is shared."""
        single = [replace(i, pending=[s]) for i in items for s in i.pending]
        size = self._asker.limits.rows or UNSHARED_ROWS
        for item in items:
            item.pending.clear()
        return [single[k : k + size] for k in range(0, len(single), size)]

    def _run(self, items: list[Loaded]) -> None:
        error = self._try(items)
        items = [i for i in items if i.pending]
        if error is None or not items:
            return
        full = is_out_of_memory(error)
        text = describe(error)
        if full:
            free_cached_memory(self._device)
        if len(items) > 1:
            if full:
                self._asker.limits.images = max(1, (len(items) + 1) // 2)
            logger.warning("%s; %d images are tried in smaller batches", text, len(items))
            for part in halves(items) if full else [[i] for i in items]:
                self._run(list(part))
        elif len(items[0].pending) > 1:
            logger.warning("%s; its %d questions are tried alone", text, len(items[0].pending))
            for sample in list(items[0].pending):
                self.run_alone(items[0], sample)
        else:
            self._fail(items[0], text, computing=True)

    def _try(self, items: list[Loaded]) -> Exception | None:
        """Computes a batch; returns the fault of a sample or batch, raises any other."""
        try:
            with torch.inference_mode():
                batch = self._preparer.prepare(items, self._reuse != "none")
                self._asker.ask(batch, lambda answers: self._take(batch, answers))
        except DataError as error:
            return error
        except (UserError, EngineError):
            raise
        except Exception as error:  # whatever a model may raise: the batch is tried in parts
            if is_fatal(error):
                raise
            return error.with_traceback(None)  # which would keep the batch's tensors alive
        return None

    def _take(self, batch: Batch, answers: list[tuple[Row, Answer]]) -> None:
        done = []
        for row, (text, extra) in answers:
            words = batch.texts[row.owner] or ""
            if not words and batch.seen[row.owner]:
                extra = {**extra, "objects": batch.seen[row.owner]}
            digest = batch.items[row.owner].digest
            done.append(Stored(row.sample.sample_id, digest, text, words, None, extra))
        for row, _ in answers:
            batch.items[row.owner].pending.remove(row.sample)
        self._answered += len(done)
        self._emit(done)
        if self._pictures is not None:
            for row, (text, _) in answers:
                self._pictures.take(batch.items[row.owner], row.sample, text)

    def _fail(self, item: Loaded, error: str, computing: bool = False) -> None:
        failed = [Stored(s.sample_id, item.digest, error=error) for s in item.pending]
        item.pending.clear()
        self._emit(failed)
        if computing:
            self._failed += len(failed)
            if self._failed >= HOPELESS and not self._answered:
                raise HopelessError(
                    f"the first {self._failed} samples all failed while computing, the last with: "
                    f"{error}"
                )
