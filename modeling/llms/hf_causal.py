"""Any causal language model of transformers, as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from collavo.errors import ConfigError
from collavo.modeling.adapters.quantize import INT8_THRESHOLD, keep_packing, require_bitsandbytes
from collavo.modeling.llms.base import LLMFamily, LLMSettings
from collavo.modeling.llms.hf_tokenizer import HFTokenizer
from collavo.modeling.pretrained import load_pretrained
from collavo.registry import LLMS

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@LLMS.register("hf_causal")
class HFCausalLLM(LLMFamily):
    """Any decoder that transformers' AutoModelForCausalLM builds from its config."""

    @classmethod
    def build(cls, config: Mapping[str, Any], attn: str = "sdpa") -> PreTrainedModel:
        """Builds the decoder of `config["model_type"]`.

        Raises:
            ConfigError: transformers knows no such model type.
        """
        fields = dict(config)
        model_type = fields.pop("model_type", None)
        try:
            hf_config = AutoConfig.for_model(model_type, **fields)
        except ValueError as error:
            raise ConfigError(
                f"model_type {model_type!r} is no decoder that transformers knows"
            ) from error
        return AutoModelForCausalLM.from_config(hf_config, attn_implementation=attn)

    @classmethod
    def load(cls, folder: Path, settings: LLMSettings) -> PreTrainedModel:
        llm: PreTrainedModel = load_pretrained(
            AutoModelForCausalLM,
            folder,
            "LLM.WEIGHTS",
            settings.trust_remote_code,
            dtype=settings.dtype,
            attn_implementation=settings.attn,
            device_map={"": settings.device},
            quantization_config=_quantisation(settings),
        )
        for module in llm.modules():
            if type(module).__name__ == "Linear4bit":
                keep_packing(module)
        return llm.requires_grad_(False)

    @classmethod
    def tokenizer(cls, folder: Path, trust_remote_code: bool = False) -> HFTokenizer:
        return HFTokenizer(folder, trust_remote_code)


def _quantisation(settings: LLMSettings) -> BitsAndBytesConfig | None:
    """What transformers is told of LLM.BITS: the same formats as `adapters.quantize` makes."""
    if settings.bits == 16:
        return None
    require_bitsandbytes(settings.bits)
    if settings.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=INT8_THRESHOLD)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=settings.dtype,
        bnb_4bit_quant_storage=torch.uint8,
    )
