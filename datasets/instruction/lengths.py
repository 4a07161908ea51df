"""Counts the tokens of every conversation when the data are opened, not at step 40,000."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from collavo.datasets.instruction.kept import Kept, keep, load_kept
from collavo.datasets.instruction.mix import Mix
from collavo.datasets.instruction.selected import Selected
from collavo.datasets.instruction.source import BadRows, Source
from collavo.errors import DataError
from collavo.modeling.llms.chat import ChatTemplate, ChatTokenizer, cut, encode
from collavo.records import Conversation, Turn

logger = logging.getLogger(__name__)

VERSION = 1
"""Counts changes of how tokens are counted; part of the key of kept counts."""

_PATIENCE = 30.0
"""Seconds between two messages about how far the counting is."""

_SLACK = 64
"""Tokens short of the room, from which a conversation is encoded as it is in training."""

_FITS, _CUT, _UNUSABLE = 0, 1, 2


@dataclass(frozen=True)
class Budget:
    """What a conversation may be made of.

    Args:
        template: How it is written.
        tokenizer: Counts its tokens.
        image_tokens: Tokens of an image, which is one id in the text.
        max_length: Tokens at most, those of images too.
        reserve: Tokens that are kept free for the sentence of the Crayon Prompt, which is only
            known once an image is segmented.
    """

    template: ChatTemplate
    tokenizer: ChatTokenizer
    image_tokens: int
    max_length: int
    reserve: int = 0

    @property
    def room(self) -> int:
        """Tokens that images and conversation may have."""
        return self.max_length - self.reserve

    def bound(self, length: int, turns: int, images: int) -> int:
        """The most tokens that a conversation can have: its text's are a byte long at least.

        Args:
            length: Bytes of its text.
            turns: How many turns it has.
            images: How many images it is about.
        """
        first, later, image = self._around
        return length + first + later * (turns // 2 - 1) + image * images

    def estimate(self, one: Conversation) -> int:
        """The tokens of a conversation to within a few, in a fraction of `encode`'s time."""
        spans = self.template.spans(one.turns, None, len(one.images))
        text = "".join(span.text for span in spans)
        ids = self.tokenizer.encode(text, add_bos=self.template.bos)
        return len(ids) + len(one.images) * (self.image_tokens - 1)

    @cached_property
    def _around(self) -> tuple[int, int, int]:
        """Tokens around a first pair of turns, around a later pair, and of an image."""
        pair = (Turn("user", "a"), Turn("assistant", "b"))

        def tokens(pairs: int, images: int) -> int:
            encoded = encode(self.template, pair * pairs, None, images, self.tokenizer)
            return len(encoded.ids) + images * (self.image_tokens - 1)

        once = tokens(1, 0)
        return once, tokens(2, 0) - once, max(tokens(1, 1) - once, tokens(1, 2) - tokens(1, 1))

    def key(self) -> str:
        """What the counts depend on besides the conversations; "" where it cannot be told."""
        file = getattr(self.tokenizer, "path", None)
        if not isinstance(file, Path) or not file.is_file():
            return ""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f"{VERSION} {self.template} {digest} {self.image_tokens} {self.room}"


def fit(mix: Mix, budget: Budget, max_bad_rows: int = 0) -> Mix:
    """Leaves out conversations of whose images or answers nothing would be left, and names them.

    Those whose text alone is too long are named, too: their ends are to be cut off (`chat.cut`).
    A conversation whose bytes are fewer than its room has tokens is not read. Counts are kept in
    the cache.

    Args:
        mix: The sources.
        budget: The room there is.
        max_bad_rows: Unusable rows of the mix to go on with, the sources' own counted, too.

    Returns:
        The mix without the unusable conversations.

    Raises:
        DataError: More of them than that.
    """
    sources: list[Source] = []
    long = BadRows()
    for source in mix.sources:
        found = _found(source, budget)
        states, counts = found.arrays["states"], found.arrays["counts"]
        rows = np.flatnonzero(states == _CUT)
        shown = rows[: BadRows.SHOWN].tolist()
        long += BadRows(
            len(rows), tuple((source[row].sample_id, f"{counts[row]} tokens") for row in shown)
        )
        if found.bad.count:
            source = Selected(source, np.flatnonzero(states != _UNUSABLE), found.bad)
        sources.append(source)
    if long.count:
        logger.warning(
            "%d conversations have more than TRAIN.MAX_LENGTH %d tokens; their ends are cut off:"
            "\n%s",
            *(long.count, budget.max_length, long.text()),
        )
    return _checked(sources, len(mix), max_bad_rows)


def _checked(sources: list[Source], rows: int, max_bad_rows: int) -> Mix:
    every = sum((source.bad for source in sources), BadRows())
    dropped = rows - sum(len(source) for source in sources)
    if dropped and every.count > max_bad_rows:
        raise DataError(
            f"{dropped} of {rows} conversations cannot be used: their images or answers would be "
            f"cut off. TRAIN.MAX_BAD_ROWS is {max_bad_rows}; raise TRAIN.MAX_LENGTH, mend or "
            f"remove them, or raise TRAIN.MAX_BAD_ROWS to train without them:\n{every.text()}"
        )
    if dropped:
        logger.warning("%d conversations are left out:\n%s", dropped, every.text())
    return Mix(sources)


def _found(source: Source, budget: Budget) -> Kept:
    """Counts the tokens of a source, unless they are kept from the last time."""
    what = budget.key()
    key = f"lengths {what} {source.fingerprint()} {len(source)}" if what else ""
    kept = load_kept(key) if key else None
    if kept is not None and len(kept.arrays["states"]) == len(source):
        return kept
    found = _count(source, budget)
    if key:
        keep(key, found)
    return found


def _count(source: Source, budget: Budget) -> Kept:
    states = np.zeros(len(source), dtype=np.uint8)
    counts = np.zeros(len(source), dtype=np.int64)
    bad, told = BadRows(), time.monotonic()
    image_id = budget.tokenizer.image_token_id
    for row in range(len(source)):
        counts[row] = budget.bound(
            source.length(row), source.num_turns(row), source.num_images(row)
        )
        if counts[row] <= budget.room:
            continue
        one = source[row]
        counts[row] = budget.estimate(one)
        if counts[row] > budget.room - _SLACK:
            encoded = encode(budget.template, one.turns, None, len(one.images), budget.tokenizer)
            counts[row] = len(encoded.ids) + len(one.images) * (budget.image_tokens - 1)
        if counts[row] > budget.room:
            states[row] = _CUT
            try:
                cut(encoded, budget.room, image_id, [budget.image_tokens] * len(one.images))
            except DataError as error:
                states[row] = _UNUSABLE
                bad += BadRows(1, ((one.sample_id, str(error)),))
        if time.monotonic() - told > _PATIENCE:
            told = time.monotonic()
            logger.info("%s: tokens of %d of %d counted", source.spec.name, row, len(source))
    return Kept({"states": states, "counts": counts}, bad)
