"""Generation through transformers' own `generate`, nothing shared between rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from transformers import PreTrainedModel

    from collavo.modeling.architectures.base import Generation
    from collavo.modeling.ops.sampling import Sampler


def generate_plain(
    llm: PreTrainedModel,
    embeds: Float[Tensor, "batch length width"],
    mask: Bool[Tensor, "batch length"],
    generation: Generation,
    eos: Sequence[int],
    pad_id: int,
    sampler: Sampler | None = None,
) -> list[list[int]]:
    """Generates after prompts that are padded on the left.

    Args:
        llm: The decoder.
        embeds: The prompts' embeddings.
        mask: False at padding.
        generation: How to generate.
        eos: Ids that end an answer.
        pad_id: Stands behind answers that ended.
        sampler: Draws the tokens; None takes the likeliest.

    Returns:
        The new token ids of each row, its end token included.
    """
    settings = GenerationConfig(
        max_new_tokens=generation.max_new_tokens,
        num_beams=generation.num_beams,
        do_sample=False,
        length_penalty=generation.length_penalty,
        eos_token_id=list(eos),
        pad_token_id=pad_id,
        bos_token_id=llm.config.bos_token_id,
        use_cache=True,
    )
    processors = LogitsProcessorList([] if sampler is None else [_Draw(sampler)])
    new = cast("Any", llm).generate(
        inputs_embeds=embeds,
        attention_mask=mask.long(),
        generation_config=settings,
        logits_processor=processors,
    )
    return [_until(row, set(eos)) for row in new.tolist()]


class _Draw(LogitsProcessor):
    """Leaves only the token that the sampler draws, so that greedy search takes it."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        token = self.sampler.draw(scores.float(), range(len(scores)), self.step)
        self.step += 1
        return torch.full_like(scores, float("-inf")).scatter(1, token[:, None], 0.0)


def _until(row: Sequence[int], ends: set[int]) -> list[int]:
    """The tokens up to the first end, which is kept."""
    end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
    return list(row[:end])
