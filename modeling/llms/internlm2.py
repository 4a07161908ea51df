"""InternLM2 as transformers' Llama: the same decoder with query, key and value in one matrix.

Source: InternLM2 (Cai et al., 2024, arXiv 2403.17297); CoLLaVO commit fb419fa,
modeling_internlm2.py, for the packing and the position embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from collavo.errors import CheckpointError
from collavo.modeling.llms.base import LLMFamily
from collavo.registry import LLMS

if TYPE_CHECKING:
    from jaxtyping import Float

LLAMA_NAMES: Mapping[str, tuple[str, ...]] = {
    "attention.wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.wo": ("self_attn.o_proj",),
    "feed_forward.w1": ("mlp.gate_proj",),
    "feed_forward.w3": ("mlp.up_proj",),
    "feed_forward.w2": ("mlp.down_proj",),
    "attention_norm": ("input_layernorm",),
    "ffn_norm": ("post_attention_layernorm",),
}
"""InternLM2's modules of a layer in Llama's names."""


@LLMS.register("internlm2", "internlm")
class InternLM2(LLMFamily):
    """InternLM2 on transformers' Llama, with one embedding past the vocabulary for `<image>`."""

    @classmethod
    def build(cls, config: Mapping[str, Any], attn: str = "sdpa") -> LlamaForCausalLM:
        """Builds the decoder from the published config's fields.

        Its dynamic RoPE scaling changes nothing up to `max_position_embeddings`, so plain RoPE is
        built, which never waits for the device; longer prompts are refused by the architecture.

        Raises:
            CheckpointError: The config lacks a field, or has one that InternLM2 does not.
        """
        llm = LlamaForCausalLM(llama_config(config, attn))
        width = llm.config.hidden_size
        # the row past the vocabulary is the placeholder's: looked up and then written over
        embed = nn.Embedding(llm.config.vocab_size + 1, width, llm.config.pad_token_id)
        nn.init.normal_(embed.weight, std=llm.config.initializer_range)
        llm.model.embed_tokens = embed
        return llm


def llama_config(config: Mapping[str, Any], attn: str = "sdpa") -> LlamaConfig:
    """Translates the published config's fields into a `LlamaConfig`.

    Raises:
        CheckpointError: A field lacks, or its value is not InternLM2's.
    """
    scaling = config.get("rope_scaling") or {"type": "dynamic"}
    if scaling.get("type", scaling.get("rope_type")) not in ("dynamic", "default"):
        raise CheckpointError(f"config.json: rope_scaling {scaling} is not supported; only dynamic")
    if config.get("bias"):
        raise CheckpointError("config.json: bias true is not the published format")
    try:
        translated = LlamaConfig(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            num_hidden_layers=config["num_hidden_layers"],
            num_attention_heads=config["num_attention_heads"],
            num_key_value_heads=config.get("num_key_value_heads"),
            hidden_act=config.get("hidden_act", "silu"),
            max_position_embeddings=config["max_position_embeddings"],
            initializer_range=config.get("initializer_range", 0.02),
            rms_norm_eps=config["rms_norm_eps"],
            pad_token_id=config.get("pad_token_id", 2),
            bos_token_id=config.get("bos_token_id", 1),
            eos_token_id=config.get("eos_token_id", 2),
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
        )
    except KeyError as error:
        raise CheckpointError(
            f"config.json lacks {error}, which the published format has"
        ) from error
    if translated.pad_token_id is None or translated.eos_token_id is None:
        raise CheckpointError("config.json: pad_token_id and eos_token_id must be token ids")
    translated._attn_implementation = attn
    return translated


def unpack_wqkv(
    packed: Float[Tensor, "packed width"], heads: int, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts a packed matrix into those of query, key and value.

    Its rows lie as (kv_heads, heads / kv_heads + 2, head_dim): each group holds its query heads,
    then its key head, then its value head. Works on `wqkv` and on PLoRA's B alike.
    """
    groups = heads // kv_heads
    # (kv_heads, groups + 2, head_dim, width), whatever the last axis is
    parts = packed.view(kv_heads, groups + 2, -1, packed.shape[1])
    query, key, value = parts.split([groups, 1, 1], dim=1)
    q, k, v = (p.reshape(-1, packed.shape[1]) for p in (query, key, value))
    return q, k, v


def pack_wqkv(parts: Sequence[Tensor], heads: int, kv_heads: int) -> Float[Tensor, "packed width"]:
    """Undoes `unpack_wqkv`."""
    query, key, value = parts
    width = query.shape[1]
    head_dim = query.shape[0] // heads
    # queries come back as groups x head_dim a key head, keys and values as one each
    shaped = [p.view(kv_heads, -1, head_dim, width) for p in (query, key, value)]
    return torch.cat(shaped, dim=1).reshape(-1, width)
