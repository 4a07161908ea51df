"""InternLM2 as transformers' Llama: the same decoder with query, key and value in one matrix.

Source: InternLM2 (Cai et al., 2024, arXiv 2403.17297); CoLLaVO commit fb419fa,
modeling_internlm2.py, for the packing and the position embedding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from collavo.errors import CheckpointError
from collavo.modeling.adapters.quantize import make_place
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.load import load_weights
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.llms.base import LLMFamily, LLMSettings, quantisable
from collavo.modeling.llms.tokenizer import TOKENIZER_FILE, CoLLaVOTokenizer
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

_OF_A_LAYER = re.compile(r"model\.layers\.(?P<layer>\d+)\.(?P<part>[\w.]+?)(\.Plora_main)?\.weight")


@LLMS.register("internlm2", "internlm")
class InternLM2(LLMFamily):
    """InternLM2 on transformers' Llama, with one embedding past the vocabulary for `<image>`."""

    files = ("config.json", TOKENIZER_FILE)

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

    @classmethod
    def load(cls, folder: Path, settings: LLMSettings) -> LlamaForCausalLM:
        """Loads the decoder of an InternLM2, an InternLM-XComposer2 or a CoLLaVO checkpoint.

        Of the latter two it is the plain decoder: PLoRA, vision and crayon stay behind.
        """
        source = CheckpointFolder(folder)
        with init_empty_weights(include_buffers=False):
            llm = cls.build(source.config, settings.attn)
        place = make_place(settings.bits, settings.dtype, settings.device)
        rules = decoder_rules(source, llm.config)
        where = (settings.dtype, settings.device)
        load_weights(llm, source, rules, *where, quantisable(llm), place)
        return llm.requires_grad_(False)

    @classmethod
    def tokenizer(cls, folder: Path, trust_remote_code: bool = False) -> CoLLaVOTokenizer:
        return CoLLaVOTokenizer(folder)


def decoder_rules(source: CheckpointFolder, config: LlamaConfig) -> dict[str, TensorRule]:
    """Returns where the decoder's tensors of a checkpoint go in `InternLM2.build`'s model.

    Args:
        source: Its base linears are called `<linear>.weight`, or `<linear>.Plora_main.weight`.
        config: The decoder's.

    Raises:
        CheckpointError: It holds no InternLM2.
    """
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    unpack = partial(unpack_wqkv, heads=heads, kv_heads=kv_heads)
    outer = {
        "model.tok_embeddings.weight": "model.embed_tokens.weight",
        "model.norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    rules = {name: TensorRule((new,)) for name, new in outer.items() if name in source.tensors}
    embed = source.tensors.get("model.tok_embeddings.weight")
    if embed is not None and embed.shape[0] == config.vocab_size:  # no row for `<image>` yet
        rules["model.tok_embeddings.weight"] = TensorRule(
            ("model.embed_tokens.weight",), lambda table: (functional.pad(table, (0, 0, 0, 1)),)
        )
    for name in source.tensors:
        found = _OF_A_LAYER.fullmatch(name)
        if found and found["part"] in LLAMA_NAMES:
            prefix = f"model.layers.{found['layer']}."
            targets = tuple(f"{prefix}{new}.weight" for new in LLAMA_NAMES[found["part"]])
            rules[name] = TensorRule(targets, unpack if len(targets) > 1 else None)
    if len(rules) <= len(outer):
        raise CheckpointError(
            f"{source.folder} holds no InternLM2 (model.layers.0.attention.wqkv.weight); for "
            "other decoders set MODEL.LLM hf_causal"
        )
    return rules


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
