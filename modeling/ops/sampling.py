"""Choosing tokens: greedily or by chance that depends on the question alone, not on its batch."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from collavo.modeling.architectures.base import Generation


class Sampler:
    """Temperature, nucleus, and random numbers keyed by (seed, question, step).

    Args:
        generation: Temperature, top_p and seed.
        keys: One string a question; equal keys draw equal numbers.
    """

    def __init__(self, generation: Generation, keys: Sequence[str]) -> None:
        if generation.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {generation.temperature}")
        if not 0 < generation.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {generation.top_p}")
        self.temperature = generation.temperature
        self.top_p = generation.top_p
        self._seed = generation.seed
        self._keys = list(keys)

    def _source(self, question: int, step: int) -> int:
        text = f"{self._seed}\0{self._keys[question]}\0{step}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)

    def warp(self, scores: Float[Tensor, "rows vocab"]) -> Float[Tensor, "rows vocab"]:
        """Divides by the temperature and removes what lies outside the nucleus."""
        scores = scores / self.temperature
        if self.top_p == 1.0:
            return scores
        ascending, order = torch.sort(scores, dim=-1)
        # the nucleus is what is left when the least likely tokens, at most 1 - p together, are
        # gone; sorted ascending, as transformers does
        below = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.top_p
        # the most likely token always stays, also where p is tiny
        below[:, -1] = False
        return scores.masked_fill(below.scatter(1, order, below), float("-inf"))

    def draw(
        self, logits: Float[Tensor, "rows vocab"], questions: Sequence[int], step: int
    ) -> Int[Tensor, " rows"]:
        """Draws one token a row by inverting the cumulative distribution."""
        # not torch's generator: its numbers depend on the batch's shape and on the device
        uniform = [random.Random(self._source(question, step)).random() for question in questions]
        cumulative = self.warp(logits).softmax(dim=-1).double().cumsum(dim=-1)
        target = torch.tensor(uniform, dtype=torch.double, device=logits.device)[:, None]
        # the last sum is 1 but for rounding; without this a target could lie behind it
        target = target * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, target, right=True)[:, 0]
        # searchsorted gives V where the target equals the last sum
        return token.clamp_(max=logits.shape[-1] - 1)

    def gumbel(self, questions: Sequence[int], step: int, size: int) -> Float[Tensor, "Q size"]:
        """Gumbel noise; the top k of log-probabilities plus it are k draws without replacement.

        Source: Kool et al., 2019, arXiv:1903.06059, section 2.
        """
        rows = []
        for question in questions:
            generator = torch.Generator().manual_seed(self._source(question, step))
            rows.append(torch.empty(size).exponential_(generator=generator))
        return -torch.stack(rows).log()


class SingleSearch:
    """One hypothesis a question: the most likely token, or a drawn one.

    Args:
        questions: How many questions there are.
        limit: The most new tokens.
        eos_ids: Tokens that finish.
        device: Where the state lies.
        sampler: Draws the tokens; None takes the most likely.
    """

    def __init__(
        self,
        questions: int,
        limit: int,
        eos_ids: Sequence[int],
        device: torch.device | str,
        sampler: Sampler | None = None,
    ) -> None:
        self.limit = limit
        self.sampler = sampler
        self.ids = list(range(questions))
        self.steps = 0
        self._results: dict[int, list[int]] = {}
        self._eos = torch.tensor(list(eos_ids), dtype=torch.long, device=device)
        self._tokens = torch.zeros(questions, limit, dtype=torch.long, device=device)
        self._lengths = torch.full((questions,), limit, dtype=torch.long, device=device)

    def step(self, logits: Float[Tensor, "rows vocab"]) -> tuple[Int[Tensor, " rows"], None]:
        """Chooses each question's next token; no row continues another's."""
        logits = logits.float()
        if self.sampler is None:
            token = logits.argmax(dim=-1)
        else:
            token = self.sampler.draw(logits, self.ids, self.steps)
        self._tokens[:, self.steps] = token
        self.steps += 1
        # the first end counts: rows that ended go on in the batch until the next `keep`
        ended = torch.isin(token, self._eos) & (self._lengths == self.limit)
        self._lengths.masked_fill_(ended, self.steps)
        return token, None

    def open_questions(self) -> list[int]:
        """Places, in the current batch, of the questions that go on. Waits for the device."""
        if self.steps >= self.limit:
            return []
        ends = self._lengths.tolist()
        return [place for place, end in enumerate(ends) if end == self.limit]

    def keep(self, places: Sequence[int]) -> list[int]:
        """Drops all questions but those at `places`; returns their rows in the old batch."""
        self._collect()
        index = torch.tensor(list(places), dtype=torch.long, device=self._tokens.device)
        self.ids = [self.ids[place] for place in places]
        self._tokens = self._tokens.index_select(0, index)
        self._lengths = self._lengths.index_select(0, index)
        return list(places)

    def _collect(self) -> None:
        tokens, lengths = self._tokens.tolist(), self._lengths.tolist()
        for question, row, length in zip(self.ids, tokens, lengths, strict=True):
            self._results[question] = row[:length]

    def results(self) -> list[list[int]]:
        """The tokens of each question, its end token included."""
        self._collect()
        return [self._results[question] for question in range(len(self._results))]
