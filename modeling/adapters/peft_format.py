"""Adapters in PEFT's own files, named as in a plain LLM, so that `peft` alone can load them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from collavo.errors import CheckpointError, MissingFileError
from collavo.json_files import read_object
from collavo.modeling.adapters.dual_lora import (
    adapted_linears,
    add_adapters,
    leaf_of,
    plain_name,
    target_paths,
)
from collavo.modeling.adapters.placement import place_tensor

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_UNSUPPORTED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")


@dataclass(frozen=True)
class Adapter:
    """One LoRA adapter.

    Args:
        name: What it is called.
        rank: Rows of A.
        alpha: The terms are scaled by alpha / rank.
        dropout: Probability of dropout in its training.
        pairs: A (rank, in) and B (out, rank) by the linear's name in a plain LLM.
    """

    name: str
    rank: int
    alpha: float
    dropout: float
    pairs: dict[str, tuple[Tensor, Tensor]]

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank

    @property
    def is_zero(self) -> bool:
        """Whether it adds nothing: B is zero until it is trained."""
        return not any(bool(up.any()) for _, up in self.pairs.values())


def take_adapter(llm: nn.Module, name: str) -> Adapter:
    """Returns an adapter of a model, its weights on the CPU.

    Raises:
        CheckpointError: The model has no such adapter, or holds only a part of its weights.
    """
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    settings = (0, 0.0, 0.0)
    for path, layer in adapted_linears(llm):
        if name not in layer.lora_A:
            continue
        pair = tuple(part[name].weight.detach().cpu() for part in (layer.lora_A, layer.lora_B))
        rank = int(layer.r[name])
        if pair[0].shape != (rank, layer.in_features):
            raise CheckpointError(
                f"adapter {name}: {plain_name(path)} is partitioned over processes here; gather "
                "its weights before they are saved"
            )
        pairs[plain_name(path)] = (pair[0], pair[1])
        dropout = float(getattr(layer.lora_dropout[name], "p", 0.0))
        settings = (rank, float(layer.lora_alpha[name]), dropout)
    if not pairs:
        raise CheckpointError(f"the model has no adapter {name!r}")
    return Adapter(name, *settings, pairs)


def write_adapter(adapter: Adapter, llm: nn.Module, folder: Path) -> None:
    """Writes an adapter of `llm` as PEFT does.

    Args:
        adapter: It.
        llm: The model that it is of: its other linears decide how targets are named.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = set(adapter.pairs)
    leaves = sorted({leaf_of(name) for name in names})
    everywhere = {plain_name(p) for p in target_paths(llm) if leaf_of(p) in leaves}
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=_whole(adapter.alpha),
        lora_dropout=adapter.dropout,
        target_modules=leaves if everywhere == names else sorted(names),
        inference_mode=True,
    )
    fields = config.to_dict()
    fields["target_modules"] = sorted(config.target_modules)
    text = json.dumps(fields, indent=2, sort_keys=True, default=str) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    tensors = {
        f"{_PREFIX}{name}.lora_{letter}.weight": tensor.contiguous()
        for name, pair in adapter.pairs.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def read_adapter(folder: Path, name: str) -> Adapter:
    """Reads an adapter that we or PEFT wrote.

    Raises:
        MissingFileError: A file of it is not there.
        CheckpointError: It is damaged, not finite, not whole, or of a kind that we do not compute.
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise MissingFileError(f"adapter {name}: {folder} lacks {file}")
    fields = read_object(folder / CONFIG, CheckpointError)
    try:
        rank, alpha = int(fields["r"]), float(fields["lora_alpha"])
        dropout = float(fields.get("lora_dropout") or 0.0)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{folder / CONFIG} is no LoRA configuration: {error!r}") from error
    _check_kind(fields, folder)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: {error}") from error
    return Adapter(name, rank, alpha, dropout, _pairs(tensors, rank, folder / WEIGHTS))


def _check_kind(fields: dict[str, Any], folder: Path) -> None:
    used = [key for key in _UNSUPPORTED if fields.get(key)]
    if fields.get("peft_type") != "LORA" or fields.get("bias", "none") != "none":
        used.append(f"peft_type {fields.get('peft_type')}, bias {fields.get('bias')}")
    if used:
        raise CheckpointError(
            f"{folder / CONFIG} asks for {', '.join(used)}; only plain LoRA adapters are computed"
        )


def _pairs(tensors: dict[str, Tensor], rank: int, file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise CheckpointError(f"{file} holds {key}, which is no LoRA weight of a linear")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{file}: {key} holds numbers that are not finite")
        found.setdefault(match[1], {})[match[2]] = tensor
    if not found:
        raise CheckpointError(f"{file} holds no weights")
    for name, pair in found.items():
        shapes = [tuple(pair[letter].shape) for letter in "AB" if letter in pair]
        if len(shapes) < 2 or shapes[0][0] != rank or shapes[1][1] != rank:
            raise CheckpointError(f"{file}: A and B of {name} are {shapes}, not of rank {rank}")
    return {name: (pair["A"], pair["B"]) for name, pair in found.items()}


def load_adapters(
    llm: nn.Module,
    adapters: Sequence[Adapter],
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    """Puts adapters on a model, frozen, next to those that it has.

    Args:
        llm: A decoder of transformers, with or without PLoRA.
        adapters: They.
        dtype: Of their weights in the model.
        device: Of their weights.

    Raises:
        CheckpointError: The model has no such linears, or of other shapes.
    """
    known = {plain_name(path): llm.get_submodule(path) for path in target_paths(llm)}
    for adapter in adapters:
        _check_shapes(adapter, known)
        add_adapters(
            llm,
            (adapter.name,),
            rank=adapter.rank,
            alpha=adapter.alpha,
            dropout=adapter.dropout,
            targets=sorted(adapter.pairs),
            dtype=None,
            empty=True,
        )
        for path, layer in adapted_linears(llm):
            pair = adapter.pairs.get(plain_name(path))
            if pair is not None:
                for part, tensor in zip((layer.lora_A, layer.lora_B), pair, strict=True):
                    part[adapter.name].weight = place_tensor(tensor, dtype, device)


def _check_shapes(adapter: Adapter, known: dict[str, Any]) -> None:
    unknown = sorted(set(adapter.pairs) - set(known))
    if unknown:
        raise CheckpointError(
            f"adapter {adapter.name} is of another model: this one has no linear "
            f"{', '.join(unknown[:5])}" + (f" and {len(unknown) - 5} more" if unknown[5:] else "")
        )
    for name, (down, up) in adapter.pairs.items():
        linear = known[name]
        if (linear.in_features, linear.out_features) != (down.shape[1], up.shape[0]):
            raise CheckpointError(
                f"adapter {adapter.name} is of another model: {name} takes {down.shape[1]} and "
                f"gives {up.shape[0]} features there, {linear.in_features} and "
                f"{linear.out_features} here"
            )


def _whole(alpha: float) -> int | float:
    return int(alpha) if alpha == int(alpha) else alpha
