"""CoLLaVO's answers: plain generation, and generation over encoded images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from collavo.errors import DataError
from collavo.modeling.architectures.base import Generation, ImageContext
from collavo.modeling.architectures.collavo_sight import Sight
from collavo.modeling.ops.decoding import generate_shared, score_options
from collavo.modeling.ops.merge_embeds import lay_out
from collavo.modeling.ops.prefill_cache import PrefillCache
from collavo.modeling.ops.prefix_cache import PrefixCache
from collavo.modeling.ops.sampling import Sampler

if TYPE_CHECKING:
    from collavo.modeling.architectures.collavo import CoLLaVO


def stop_ids(model: CoLLaVO, generation: Generation) -> list[int]:
    """Returns the ids that end an answer: the end of sequence, and the end of turn if asked.

    A checkpoint without a tokenizer knows no end of turn.
    """
    eos: Any = model.llm.config.eos_token_id
    ids: list[int] = list(eos) if isinstance(eos, (list, tuple)) else [eos]
    tokenizer = model.tokenizer
    if generation.stop == "turn_end" and tokenizer and tokenizer.turn_end_id is not None:
        ids.append(tokenizer.turn_end_id)
    return ids


def texts(model: CoLLaVO, rows: Sequence[Sequence[int]]) -> list[str]:
    """Decodes new tokens up to the end of sequence or of turn, whichever comes first.

    Source: the original cuts the text after the last "assistant" line and before "[UN", and so
    prints a later turn that the model made up; here the first turn is the answer.
    """
    tokenizer = model.known_tokenizer()
    ends = set(stop_ids(model, Generation(stop="turn_end")))
    answers = []
    for row in rows:
        end = next((i for i, token in enumerate(row) if token in ends), len(row))
        answers.append(tokenizer.decode(row[:end]).strip())
    return answers


def plain(
    model: CoLLaVO,
    prompts: Sequence[Sequence[int]],
    sight: Sight | None,
    generation: Generation,
) -> list[list[int]]:
    """Generates through transformers' own `generate`, nothing shared between rows.

    Returns:
        The new token ids of each prompt, its end token included.
    """
    if generation.do_sample and generation.num_beams > 1:
        # transformers draws beams from one global stream, which depends on the batch
        before = [list(prompt[:-1]) for prompt in prompts]
        after = [list(prompt[-1:]) for prompt in prompts]
        return over_prefixes(
            model, prefill(model, before, sight), after, range(len(after)), generation
        )
    layout = lay_out(
        prompts, model.image_token_id, model.num_tokens, model.pad_token_id, device=model.device
    )
    embeds, injection = model.embed(layout, sight)
    eos = stop_ids(model, generation)
    settings = GenerationConfig(
        max_new_tokens=generation.max_new_tokens,
        num_beams=generation.num_beams,
        do_sample=False,
        length_penalty=generation.length_penalty,
        eos_token_id=eos,
        pad_token_id=model.pad_token_id,
        bos_token_id=model.llm.config.bos_token_id,
        use_cache=True,
    )
    processors = LogitsProcessorList()
    if generation.do_sample:
        processors.append(_Draw(Sampler(generation, [_key(prompt) for prompt in prompts])))
    with model.state.prefill(model.llm, injection):
        new = cast("Any", model.llm).generate(
            inputs_embeds=embeds,
            attention_mask=layout.mask.long(),
            generation_config=settings,
            logits_processor=processors,
        )
    return [_until(row, set(eos)) for row in new.tolist()]


def prefill(
    model: CoLLaVO, prefixes: Sequence[Sequence[int]], sight: Sight | None
) -> list[ImageContext]:
    """Computes the keys and values of several images' prefixes as one batch.

    The rows are padded on the right: then causal attention needs no mask, and the images of equal
    beginnings lie at the same positions in all rows.
    """
    layout = lay_out(
        prefixes,
        model.image_token_id,
        model.num_tokens,
        model.pad_token_id,
        side="right",
        device=model.device,
    )
    embeds, injection = model.embed(layout, sight)
    cache = PrefillCache(model.llm.config)
    with model.state.injection(injection):
        cache.fill(model.llm.get_decoder(), inputs_embeds=embeds)
    return [
        ImageContext(tuple(prefix), part, part.length, part.nbytes)
        for prefix, part in zip(prefixes, PrefixCache.split(cache, layout.lengths), strict=True)
    ]


def over_prefixes(
    model: CoLLaVO,
    contexts: Sequence[ImageContext],
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    generation: Generation,
) -> list[list[int]]:
    """Generates over shared prefixes (`prefill`); the new ids of each question."""
    longest = max(
        contexts[owner].num_tokens + len(suffix)
        for owner, suffix in zip(owners, suffixes, strict=True)
    )
    if longest > model.max_positions:
        raise DataError(f"a prompt has {longest} tokens; the model takes {model.max_positions}")
    return generate_shared(
        model.llm,
        [context.cache for context in contexts],
        suffixes,
        owners,
        generation,
        stop_ids(model, generation),
        [_key((*contexts[o].prefix_ids, *s)) for o, s in zip(owners, suffixes, strict=True)],
    )


def scores(
    model: CoLLaVO,
    contexts: Sequence[ImageContext],
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    options: Sequence[Sequence[Sequence[int]]],
) -> list[list[tuple[float, float]]]:
    """Sum and mean log-probability of each question's options, over shared prefixes."""
    caches = [context.cache for context in contexts]
    return score_options(model.llm, caches, suffixes, owners, options)


def over_sights(
    model: CoLLaVO,
    contexts: Sequence[ImageContext],
    suffixes: Sequence[Sequence[int]],
    owners: Sequence[int],
    generation: Generation,
) -> list[list[int]]:
    """Generates with a prefill for each question, the images' sights reused."""
    prompts = [(*contexts[o].prefix_ids, *s) for o, s in zip(owners, suffixes, strict=True)]
    sight = Sight.join([contexts[owner].cache for owner in owners])
    return plain(model, prompts, sight, generation)


class _Draw(LogitsProcessor):
    """Leaves only the token that the sampler draws, so that greedy search takes it."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        token = self.sampler.draw(scores.float(), range(len(scores)), self.step)
        self.step += 1
        return torch.full_like(scores, float("-inf")).scatter(1, token[:, None], 0.0)


def _key(prompt: Sequence[int]) -> str:
    """What seeds a question's draws: its whole prompt, whatever part of it is shared."""
    return " ".join(map(str, prompt))


def _until(row: Sequence[int], ends: set[int]) -> list[int]:
    """The tokens up to the first end, which is kept."""
    end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
    return list(row[:end])
