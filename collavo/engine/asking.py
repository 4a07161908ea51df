"""Asks a model the questions of a batch, sharing what may be shared, in batches that fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from collavo.engine.levels import Kind, Ladder, kind_of
from collavo.engine.limits import Limits, free_cached_memory, halves, is_out_of_memory
from collavo.engine.prepare import Batch, Row, Stats
from collavo.errors import ConfigError
from collavo.modeling.architectures.reuse import ENCODED, PREFIXED
from collavo.records import Sample

if TYPE_CHECKING:
    from torch import Tensor

    from collavo.engine.feature_cache import FeatureCache
    from collavo.modeling.architectures.base import Architecture, Generation, ImageContext

logger = logging.getLogger(__name__)

Answer = tuple[str, dict[str, Any]]
"""A text, and what else is known of it."""

Score = Callable[[Sequence[Row], "Sequence[ImageContext]"], list[Answer]]
"""Answers rows over encoded images without decoding."""


class Asker:
    """Takes batches of questions through the model.

    Args:
        architecture: The model.
        generation: How to generate.
        device: The torch device string.
        limits: Batch sizes; lowered when memory runs out.
        stats: Where times and tokens are summed.
        reuse: "prefix", "vision" or "none": where the ladder of reuse begins.
        score: Answers by likelihood instead of generating.
        features: Vision features of earlier runs.
    """

    def __init__(
        self,
        architecture: Architecture,
        generation: Generation,
        device: str,
        limits: Limits,
        stats: Stats,
        reuse: str = "prefix",
        score: Score | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        self.architecture, self.generation, self.limits = architecture, generation, limits
        self.ladder = Ladder(architecture, reuse)
        self._device, self._stats, self._score = device, stats, score
        self._features = features
        self._learned = False
        self._begin: Callable[[Sample], None] | None = None

    @contextmanager
    def one_by_one(self, begin: Callable[[Sample], None]) -> Iterator[None]:
        """Within it a decoding batch is one question, in the order given, told to `begin` first."""
        self._begin = begin
        try:
            yield
        finally:
            self._begin = None

    def ask(self, batch: Batch, take: Callable[[list[tuple[Row, Answer]]], None]) -> None:
        """Answers all questions of a batch and hands answers on as they come.

        Args:
            batch: The inputs.
            take: Called with the rows and answers of each decoding batch.
        """
        level, contexts = self._encode_where_it_holds(batch)
        shared = level in PREFIXED
        rows = batch.rows
        weights = {
            id(r): self._weight(
                len(r.suffix) if shared else len(r.tokens) + batch.image_tokens(r.owner)
            )
            for r in rows
        }
        alone = level == "single" or self._begin is not None
        if contexts:
            self._in_batches(
                rows, weights, lambda part: self._answer(part, contexts, shared), take, alone
            )
        else:
            self._in_batches(rows, weights, lambda part: self._generate(part, batch), take, alone)

    def _level(self, batch: Batch) -> str:
        """Returns the best level that holds for a batch, as far as is known.

        Raises:
            ConfigError: Answers are scored by likelihood, and it shares no prefix.
        """
        if batch.pictured:
            level = self.ladder.level(kind_of(item.visuals) for item in batch.items)
        elif self._score is not None:
            level = self.ladder.start
        else:
            level = self.ladder.down_from("batch")  # words alone have nothing to share
        if self._score is not None and level not in PREFIXED:
            because = f" ({self.ladder.reason})" if self.ladder.reason else ""
            raise ConfigError(
                "EVAL.SCORING likelihood needs a model that shares prefixes and EVAL.REUSE "
                f"prefix{because}; set EVAL.SCORING generate"
            )
        return level

    def _encode_where_it_holds(self, batch: Batch) -> tuple[str, list[ImageContext]]:
        """Encodes a batch, one level down for each check that fails.

        Returns:
            The level, and the images' states; none where the level shares nothing.
        """
        features = self._kept_features(batch) if self._level(batch) in ENCODED else None
        while (level := self._level(batch)) in ENCODED:
            contexts = self._encode(batch, level, features)
            self._check(batch, contexts, level, features)
            if self._level(batch) == level:
                return level, contexts
        return level, []

    def _kept_features(self, batch: Batch) -> list[Tensor] | None:
        """Returns the levels of vision features of all images of a batch, where they are kept."""
        if self._features is None or not batch.pictured:
            return None
        with self._stats.timed("vision"):
            return self._features.levels(
                [digest for item in batch.items for digest in item.digests],
                [visual for item in batch.items for visual in item.visuals],
                self.architecture.image_features,
            )

    def _check(
        self,
        batch: Batch,
        contexts: Sequence[ImageContext],
        level: str,
        features: Sequence[Tensor] | None,
    ) -> None:
        """Has the model compare each kind of prompt that is new with one of nothing shared."""
        if not batch.pictured:
            return
        new: dict[Kind, Row] = {}
        for row in batch.rows:
            kind = kind_of(batch.items[row.owner].visuals)
            if not self.ladder.must_check(kind):
                continue
            first = new.setdefault(kind, row)
            # of the first image's questions the longest: what follows the prefix should weigh most
            if row.owner == first.owner and len(row.suffix) > len(first.suffix):
                new[kind] = row
        for kind, row in new.items():
            context, visuals = contexts[row.owner], batch.items[row.owner].visuals
            known: dict[str, Any] = {}
            if features is not None:
                places = batch.places(row.owner)
                known["features"] = [each[places.start : places.stop] for each in features]
            with self._stats.timed("check"):
                found = self.architecture.check_reuse(
                    level, context, row.suffix, visuals, batch.crayon_of([row]), **known
                )
            self.ladder.take(kind, level, found)

    def _encode(
        self, batch: Batch, level: str, features: Sequence[Tensor] | None
    ) -> list[ImageContext]:
        prefixes: list[tuple[int, ...]] = [()] * len(batch.items)
        for row in batch.rows:
            prefixes[row.owner] = row.tokens[: row.prefix]
        known: dict[str, Any] = {} if features is None else {"features": features}
        with self._stats.timed("prefill"):
            contexts = self.architecture.encode(
                batch.visuals, batch.crayon, prefixes, level, **known
            )
            if self._device.startswith("cuda"):
                torch.cuda.synchronize(self._device)
        if not self._learned:
            self._learned = True
            self.limits.learn(contexts, self._device)
        if level in PREFIXED:
            self._stats.add("prefix_tokens", sum(c.num_tokens for c in contexts))
        return contexts

    def _answer(
        self, rows: Sequence[Row], contexts: Sequence[ImageContext], shared: bool
    ) -> list[Answer]:
        own = sum(len(r.suffix) for r in rows)
        whole = sum(contexts[r.owner].num_tokens for r in rows) + own
        self._stats.add("suffix_tokens", own if shared else whole)
        self._stats.add("tokens_unshared", whole)
        if self._score is not None:
            return self._score(rows, contexts)
        suffixes = [r.suffix for r in rows]
        owners = [r.owner for r in rows]
        answers = self.architecture.answer(contexts, suffixes, owners, self.generation)
        return [(text, {}) for text in answers]

    def _generate(self, rows: Sequence[Row], batch: Batch) -> list[Answer]:
        whole = sum(len(r.tokens) + batch.image_tokens(r.owner) for r in rows)
        self._stats.add("suffix_tokens", whole)
        self._stats.add("tokens_unshared", whole)
        answers = self.architecture.generate(
            [r.tokens for r in rows],
            [batch.items[r.owner].visuals for r in rows],
            batch.crayon_of(rows),
            self.generation,
        )
        return [(text, {}) for text in answers]

    def _in_batches(
        self,
        rows: Sequence[Row],
        weights: dict[int, int],
        answer: Callable[[Sequence[Row]], list[Answer]],
        take: Callable[[list[tuple[Row, Answer]]], None],
        alone: bool,
    ) -> None:
        """Answers rows of like length together, longest first; lack of memory halves a batch."""
        if self._begin is None:
            rows = sorted(rows, key=lambda r: (-weights[id(r)], r.owner))
        cuts = self.limits.cut([weights[id(r)] for r in rows], 1 if alone else 0)
        queue = [[rows[k] for k in cut] for cut in cuts]
        while queue:
            part = sorted(queue.pop(0), key=lambda r: r.owner)
            if self._begin is not None:
                self._begin(part[0].sample)
            with self._stats.timed("answers"):
                answers = self._unless_full(part, answer)
            if answers is None:
                free_cached_memory(self._device)
                self.limits.row_tokens = max(1, max(weights[id(r)] for r in part) * len(part) // 2)
                logger.warning("out of memory: %d row tokens from here", self.limits.row_tokens)
                queue[:0] = [list(half) for half in halves(part)]
            else:
                take(list(zip(part, answers, strict=True)))

    def _unless_full(
        self, rows: Sequence[Row], answer: Callable[[Sequence[Row]], list[Answer]]
    ) -> list[Answer] | None:
        """Answers rows; None where memory ran out and the batch can still be halved."""
        try:
            return answer(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(rows) == 1:
                raise
        return None

    def _weight(self, tokens: int) -> int:
        """Tokens that one question takes in a decoding batch, its answer and beams included."""
        return max(1, self.generation.num_beams) * (tokens + self.generation.max_new_tokens)
