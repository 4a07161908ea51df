"""The contract of an LLM family: how its decoder is built on transformers, and run settings."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from collavo.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from collavo.modeling.llms.chat import LLMTokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")


@dataclass(frozen=True)
class LLMSettings:
    """How a decoder is loaded.

    Args:
        device: Where it runs.
        dtype: What it computes in.
        attn: transformers' name of the attention implementation.
        bits: 4 and 8 quantise its linears but for the head; 16 keeps them in `dtype`.
        trust_remote_code: Whether code that the folder brings along may run.
    """

    device: torch.device
    dtype: torch.dtype
    attn: str = "sdpa"
    bits: int = 16
    trust_remote_code: bool = False


def resolve_settings(
    bits: int = 16,
    dtype: torch.dtype | str = "auto",
    attn: str = "auto",
    device: torch.device | str = "auto",
    trust_remote_code: bool = False,
) -> LLMSettings:
    """Returns what LLM.BITS, LLM.DTYPE, LLM.ATTN and DEVICE come to on this machine.

    Raises:
        ConfigError: A value is not allowed, or needs what this machine lacks.
    """
    if bits not in (16, 8, 4):
        raise ConfigError(f"LLM.BITS {bits} is not supported; use 16, 8 or 4")
    where = resolve_device(device) if isinstance(device, str) else device
    kind = resolve_dtype(dtype, where) if isinstance(dtype, str) else dtype
    return LLMSettings(where, kind, resolve_attention(attn, where, kind), bits, trust_remote_code)


class LLMFamily(ABC):
    """Builds the decoders of one family as models of transformers."""

    files: tuple[str, ...] = ("config.json",)
    """What its folders must hold beside the weights."""

    @classmethod
    @abstractmethod
    def build(cls, config: Mapping[str, Any], attn: str = "sdpa") -> PreTrainedModel:
        """Builds a decoder with fresh weights (on the meta device under `init_empty_weights`).

        Args:
            config: The fields of the checkpoint's config.json.
            attn: transformers' name of the attention implementation.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, settings: LLMSettings) -> PreTrainedModel:
        """Loads the decoder of a folder, frozen.

        Raises:
            UserError: The folder holds none of this family, or is damaged.
        """

    @classmethod
    @abstractmethod
    def tokenizer(cls, folder: Path, trust_remote_code: bool = False) -> LLMTokenizer:
        """Reads the tokenizer of a folder.

        Raises:
            UserError: It is not there, or damaged.
        """


def quantisable(llm: PreTrainedModel) -> dict[str, str]:
    """Lists the weights of the linears that may be quantised, with their linears' names.

    All but the head, whose rounding would be in every logit.
    """
    head = llm.get_output_embeddings()
    return {
        f"{name}.weight": name
        for name, module in llm.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


def resolve_device(name: str) -> torch.device:
    """Returns the device that `DEVICE` names: "auto" is CUDA where there is one.

    Raises:
        ConfigError: CUDA was asked for and is absent, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"DEVICE {name!r} is no device; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"DEVICE {name!r}: PyTorch sees no CUDA device here; set DEVICE to auto or cpu"
        )
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """Returns the dtype that `LLM.DTYPE` names: "auto" is float32 on CPU and bfloat16 on CUDA.

    Raises:
        ConfigError: Unknown name.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise ConfigError(f"LLM.DTYPE {name!r} is unknown; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def resolve_attention(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """Returns transformers' name for `LLM.ATTN`; "auto" is PyTorch's scaled dot product attention.

    Raises:
        ConfigError: Unknown name, or flash attention where it cannot run.
    """
    if name not in ATTENTIONS:
        raise ConfigError(f"LLM.ATTN {name!r} is unknown; use {', '.join(ATTENTIONS)}")
    if name != "flash_attention_2":
        return "sdpa" if name == "auto" else name
    if importlib.util.find_spec("flash_attn") is None:
        raise ConfigError("LLM.ATTN flash_attention_2 needs the package flash-attn; or use sdpa")
    if device.type != "cuda" or dtype == torch.float32:
        raise ConfigError(
            f"LLM.ATTN flash_attention_2 runs in 16 bits on CUDA, not in {dtype} on {device}; "
            "use sdpa, or LLM.DTYPE bf16 on CUDA"
        )
    return name
