"""Beam search over a batch of questions, with the semantics of transformers' generate.

Source: transformers 5, GenerationMixin._beam_search with early_stopping=False, written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.modeling.ops.sampling import Sampler

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from collavo.modeling.architectures.base import Generation

# added to what must not be chosen; also the score of a beam that does not exist yet
_NEVER = -1.0e9


class BeamSearch:
    """Keeps `num_beams` running and finished hypotheses a question.

    Q questions, B beams, K = max(2, 1 + number of ends) * B candidates, V vocabulary.

    Args:
        questions: How many questions there are.
        generation: Beams, most new tokens, length penalty.
        eos_ids: Tokens that finish a hypothesis.
        device: Where the state lies.
        sampler: Draws the candidates instead of taking the best.
    """

    def __init__(
        self,
        questions: int,
        generation: Generation,
        eos_ids: Sequence[int],
        device: torch.device | str,
        sampler: Sampler | None = None,
    ) -> None:
        self.beams = generation.num_beams
        self.limit = generation.max_new_tokens
        self.penalty = generation.length_penalty
        self.sampler = sampler
        self.ids = list(range(questions))
        self.steps = 0
        self._results: dict[int, list[int]] = {}
        self._eos = torch.tensor(list(eos_ids), dtype=torch.long, device=device)
        self._candidates = max(2, 1 + len(self._eos)) * self.beams
        shape = (questions, self.beams)
        self._tokens = torch.zeros(*shape, self.limit, dtype=torch.long, device=device)
        self._scores = torch.full(shape, _NEVER, device=device)
        # one beam at the start: equal beams would fill the candidates with copies of one
        self._scores[:, 0] = 0.0
        self._done_tokens = self._tokens.clone()
        self._done_lengths = torch.zeros(shape, dtype=torch.long, device=device)
        self._done_scores = torch.full(shape, _NEVER, device=device)
        self._done = torch.zeros(shape, dtype=torch.bool, device=device)
        self._open = torch.ones(questions, 1, dtype=torch.bool, device=device)

    def step(
        self, logits: Float[Tensor, "rows vocab"]
    ) -> tuple[Int[Tensor, " running"], Int[Tensor, " running"]]:
        """Chooses each beam's next token.

        Args:
            logits: One row a question before the first token, then one a beam.

        Returns:
            For each beam (Q * B) its new token and the row that it continues.
        """
        questions = len(self.ids)
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        if self.sampler is not None:
            log_probs = self.sampler.warp(log_probs)
        vocab = log_probs.shape[-1]
        # (Q or Q * B, V) -> (Q, B, V)
        log_probs = log_probs.view(questions, -1, vocab).expand(-1, self.beams, -1)
        total = (log_probs + self._scores[..., None]).flatten(1)
        scores, index = self._top(total)
        # a candidate's place in (B * V) says which beam it continues, and by which token
        parent, token = index // vocab, index % vocab
        tokens = _gather(self._tokens, parent)
        tokens[:, :, self.steps] = token
        self.steps += 1
        ends = torch.isin(token, self._eos)
        # at the limit every candidate is finished, as in transformers
        if self.steps == self.limit:
            ends = torch.ones_like(ends)
        self._finish(tokens, scores, ends)
        # an ended candidate may not run on
        self._scores, kept = torch.topk(scores + ends.float() * _NEVER, self.beams)
        self._tokens = _gather(tokens, kept)
        # no running beam can improve on the finished ones any more
        reachable = self._scores[:, :1] / self.steps**self.penalty
        worst = torch.where(self._done, self._done_scores.amin(1, keepdim=True), _NEVER)
        self._open = self._open & (reachable > worst).any(dim=1, keepdim=True)
        # rows of the flat batch (Q * B) that the cache is reordered by
        first = torch.arange(questions, device=token.device)[:, None] * self.beams
        rows = first + parent.gather(1, kept)
        return token.gather(1, kept).flatten(), rows.flatten()

    def _top(self, total: Float[Tensor, "Q BV"]) -> tuple[Tensor, Tensor]:
        """The K candidates of each question."""
        if self.sampler is None:
            return torch.topk(total, self._candidates)
        # sampled beams: draws without replacement; scores stay log-probabilities without noise
        noise = self.sampler.gumbel(self.ids, self.steps, total.shape[1]).to(total.device)
        index = torch.topk(total + noise, self._candidates).indices
        return total.gather(1, index), index

    def _finish(
        self, tokens: Int[Tensor, "Q K L"], scores: Float[Tensor, "Q K"], ends: Bool[Tensor, "Q K"]
    ) -> None:
        """Takes the candidates that end now among the finished ones, if they are better."""
        # only a candidate among the first B may finish; the others are there to go on
        among = torch.arange(self._candidates, device=scores.device) < self.beams
        finished = ends & among
        scores = scores / self.steps**self.penalty
        # a question that is decided takes no more hypotheses, though its rows still run
        scores = scores + (~self._open).float() * _NEVER + (~finished).float() * _NEVER
        lengths = torch.full_like(ends, self.steps, dtype=torch.long)
        merged = torch.cat((self._done_scores, scores), dim=1)
        self._done_scores, kept = torch.topk(merged, self.beams)
        self._done_tokens = _gather(torch.cat((self._done_tokens, tokens), 1), kept)
        self._done_lengths = torch.cat((self._done_lengths, lengths), 1).gather(1, kept)
        self._done = torch.cat((self._done, finished), 1).gather(1, kept)

    def open_questions(self) -> list[int]:
        """Places, in the current batch, of the questions that go on. Waits for the device."""
        if self.steps >= self.limit:
            return []
        return [place for place, goes_on in enumerate(self._open[:, 0].tolist()) if goes_on]

    def keep(self, places: Sequence[int]) -> list[int]:
        """Drops all questions but those at `places`; returns their rows in the old batch."""
        self._collect()
        index = torch.tensor(list(places), dtype=torch.long, device=self._scores.device)
        self.ids = [self.ids[place] for place in places]
        for name in (
            "tokens",
            "scores",
            "done_tokens",
            "done_lengths",
            "done_scores",
            "done",
            "open",
        ):
            setattr(self, f"_{name}", getattr(self, f"_{name}").index_select(0, index))
        return [place * self.beams + beam for place in places for beam in range(self.beams)]

    def _collect(self) -> None:
        tokens, lengths = self._done_tokens[:, 0].tolist(), self._done_lengths[:, 0].tolist()
        for question, row, length in zip(self.ids, tokens, lengths, strict=True):
            self._results[question] = row[:length]

    def results(self) -> list[list[int]]:
        """The best hypothesis of each question, its end token included."""
        self._collect()
        return [self._results[question] for question in range(len(self._results))]


def _gather(sequences: Int[Tensor, "Q B L"], index: Int[Tensor, "Q K"]) -> Int[Tensor, "Q K L"]:
    return sequences.gather(1, index[..., None].expand(-1, -1, sequences.shape[2]))
