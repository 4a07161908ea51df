"""Answers questions over shared image prefixes: suffix prefill, then greedy, beams or sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from collavo.modeling.ops.beam_search import BeamSearch
from collavo.modeling.ops.sampling import Sampler, SingleSearch
from collavo.modeling.ops.shared_attention import forward_rows
from collavo.modeling.ops.shared_prefix import SharedPrefixCache

if TYPE_CHECKING:
    from jaxtyping import Float
    from transformers import PreTrainedModel

    from collavo.modeling.architectures.base import Generation
    from collavo.modeling.ops.prefix_cache import PrefixCache

# Fewer tokens than this are prefilled together whatever padding that takes: a smaller product
# would not be faster.
_CHUNK_TOKENS = {"cpu": 192, "cuda": 8192}
# Steps between two looks at what has finished; a look waits for the device.
_LOOK_EVERY = {"cpu": 1, "cuda": 8}
# Finished questions leave the batch when at most this share of it is still open.
_COMPACT_AT = 0.75


@torch.no_grad()
def generate_shared(
    llm: PreTrainedModel,
    prefixes: Sequence[PrefixCache],
    suffix_ids: Sequence[Sequence[int]],
    owners: Sequence[int],
    generation: Generation,
    eos_ids: Sequence[int],
    keys: Sequence[str] | None = None,
) -> list[list[int]]:
    """Generates an answer to each question.

    Tokens are those of transformers' `generate` on the whole prompts (do_sample=False,
    early_stopping=False), whatever the order and grouping of the questions. A question's suffix is
    prefilled once for all its beams.

    Args:
        llm: A causal language model of transformers, in eval mode.
        prefixes: The images' prefixes.
        suffix_ids: For each question the token ids after its image's prefix; never empty.
        owners: For each question the index of its image in `prefixes`.
        generation: How to generate; its `stop` is read by the caller, who gives `eos_ids`.
        eos_ids: Tokens that end an answer.
        keys: For sampling, a string a question that seeds its draws; by default its suffix.

    Returns:
        The new token ids of each question, the end token included if there is one.
    """
    if not suffix_ids:
        return []
    order = sorted(range(len(owners)), key=owners.__getitem__)
    suffixes = [list(suffix_ids[i]) for i in order]
    sampler = None
    if generation.do_sample:
        names = keys if keys is not None else [" ".join(map(str, ids)) for ids in suffix_ids]
        sampler = Sampler(generation, [names[i] for i in order])
    device = prefixes[0].keys[0].device
    search: BeamSearch | SingleSearch
    if generation.num_beams > 1:
        search = BeamSearch(len(order), generation, eos_ids, device, sampler)
    else:
        search = SingleSearch(len(order), generation.max_new_tokens, eos_ids, device, sampler)
    prefilled = _Prefilled(llm, prefixes, suffixes, [owners[i] for i in order])
    _decode(llm, prefilled, search, generation)
    answers: list[list[int]] = [[] for _ in order]
    for place, tokens in zip(order, search.results(), strict=True):
        answers[place] = tokens
    return answers


def _decode(
    llm: PreTrainedModel,
    prefilled: _Prefilled,
    search: BeamSearch | SingleSearch,
    generation: Generation,
) -> None:
    """Runs the search to its end."""
    cache: SharedPrefixCache | None = None
    logits, since = prefilled.logits, prefilled.longest
    look_every = _LOOK_EVERY.get(prefilled.logits.device.type, 8)
    while True:
        tokens, parents = search.step(logits)
        looks = search.steps == search.limit or search.steps % look_every == 0
        still = search.open_questions() if looks else list(range(len(search.ids)))
        if not still:
            return
        if cache is None:
            cache = prefilled.expand(generation.num_beams, generation.max_new_tokens - 1)
            parents = None
        if len(still) <= _COMPACT_AT * len(search.ids):
            rows = search.keep(still)
            tokens = tokens[torch.tensor(rows, device=tokens.device)]
            if parents is not None:
                continued = parents.tolist()
                rows = [continued[row] for row in rows]
            cache = cache.select(rows)
        elif parents is not None:
            cache.reorder(parents, since)
        logits = forward_rows(llm, cache, tokens[:, None])[:, -1]


class _Prefilled:
    """The questions' suffixes after prefill: their own caches and the logits at their ends.

    Suffixes of similar length are prefilled together, so that padding costs little.
    """

    def __init__(
        self,
        llm: PreTrainedModel,
        prefixes: Sequence[PrefixCache],
        suffixes: Sequence[Sequence[int]],
        owners: Sequence[int],
    ) -> None:
        device = prefixes[0].keys[0].device
        self.owners = owners
        self.longest = max(len(ids) for ids in suffixes)
        self._parts: list[tuple[SharedPrefixCache, Sequence[int]]] = []
        rows: list[Tensor] = []
        for places in _chunks(suffixes, _CHUNK_TOKENS.get(device.type, 8192)):
            chosen = [suffixes[place] for place in places]
            width = max(len(ids) for ids in chosen)
            starts = [width - len(ids) for ids in chosen]
            cache = SharedPrefixCache(prefixes, [owners[place] for place in places], starts, width)
            padded = [[0] * start + list(ids) for start, ids in zip(starts, chosen, strict=True)]
            rows.append(forward_rows(llm, cache, torch.tensor(padded, device=device))[:, -1])
            self._parts.append((cache, places))
        done = [place for _, places in self._parts for place in places]
        self.logits = torch.cat(rows)[torch.tensor(done, device=device).argsort()]

    def expand(self, copies: int, extra: int) -> SharedPrefixCache:
        """Moves the suffixes into one cache with `extra` free slots; call it once."""
        parts, self._parts = self._parts, []
        if len(parts) == 1 and copies == 1 and extra == 0:
            return parts[0][0]
        return SharedPrefixCache.assemble(parts, self.owners, copies, extra)


def _chunks(suffixes: Sequence[Sequence[int]], least: int) -> Iterator[list[int]]:
    """Yields places of suffixes to prefill together: long enough in sum, and little padded."""
    chunk: list[int] = []
    tokens = 0
    for place in sorted(range(len(suffixes)), key=lambda place: len(suffixes[place])):
        length = len(suffixes[place])
        if length == 0:
            raise ValueError(f"question {place} has no token after its prefix")
        if tokens >= least and tokens < 0.9 * length * len(chunk):
            yield sorted(chunk)
            chunk, tokens = [], 0
        chunk.append(place)
        tokens += length
    yield sorted(chunk)


def score_options(
    llm: PreTrainedModel,
    prefixes: Sequence[PrefixCache],
    suffix_ids: Sequence[Sequence[int]],
    owners: Sequence[int],
    options: Sequence[Sequence[Sequence[int]]],
) -> list[list[tuple[float, float]]]:
    """Scores given answers by their likelihood, without decoding.

    The image's prefix is shared by its questions and the question's suffix by its options. Options
    of one token (yes and no, letters) cost nothing beyond the suffix.

    Args:
        llm: A causal language model of transformers, in eval mode.
        prefixes: The images' prefixes.
        suffix_ids: For each question the token ids after its image's prefix; never empty.
        owners: For each question the index of its image in `prefixes`.
        options: For each question the token ids of its options; none empty.

    Returns:
        For each question and option the sum and the mean of its tokens' log-probabilities.
    """
    order = sorted(range(len(owners)), key=owners.__getitem__)
    if not order:
        return []
    suffixes = [list(suffix_ids[i]) for i in order]
    prefilled = _Prefilled(llm, prefixes, suffixes, [owners[i] for i in order])
    first = torch.log_softmax(prefilled.logits.float(), dim=-1)
    rows = [(place, list(ids)) for place, i in enumerate(order) for ids in options[i]]
    if any(not ids for _, ids in rows):
        raise ValueError("an option has no token")
    places = torch.tensor([place for place, _ in rows], device=first.device)
    starts = torch.tensor([ids[0] for _, ids in rows], device=first.device)
    sums = first[places, starts]
    longer = [row for row, (_, ids) in enumerate(rows) if len(ids) > 1]
    if longer:
        cache = prefilled.expand(1, 0)
        sums[torch.tensor(longer, device=sums.device)] += _continued(
            llm, cache, [rows[row] for row in longer]
        )
    scored: list[list[tuple[float, float]]] = [[] for _ in order]
    for (place, ids), total in zip(rows, sums.tolist(), strict=True):
        scored[order[place]].append((total, total / len(ids)))
    return scored


def _continued(
    llm: PreTrainedModel, cache: SharedPrefixCache, rows: Sequence[tuple[int, list[int]]]
) -> Float[Tensor, " rows"]:
    """Sums the log-probabilities of each option's tokens after its first."""
    width = max(len(ids) for _, ids in rows) - 1
    device = cache.starts.device
    # padded on the right: what follows an option's end is not read
    inputs = [ids[:-1] + [0] * (width + 1 - len(ids)) for _, ids in rows]
    targets = [ids[1:] + [-1] * (width + 1 - len(ids)) for _, ids in rows]
    cache = cache.select([place for place, _ in rows], cache.used + width)
    logits = forward_rows(llm, cache, torch.tensor(inputs, device=device), keep=width)
    target = torch.tensor(targets, device=device)
    found = torch.log_softmax(logits.float(), dim=-1).gather(2, target.clamp(min=0)[..., None])
    return (found[..., 0] * (target >= 0)).sum(dim=1)
