"""Any causal language model of transformers, as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoModelForCausalLM

from collavo.errors import ConfigError
from collavo.modeling.llms.base import LLMFamily
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
