"""Folds what a stage of training left into its base: a checkpoint in the published format.

Adapters of a quantised base are folded into its dequantised weights, with which they were trained.
Folding into 4 bits is not offered: rounding to them would undo most of what the adapters changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from collavo.errors import CheckpointError
from collavo.modeling.adapters.peft_format import Adapter
from collavo.modeling.adapters.placement import PlainPlace
from collavo.modeling.adapters.quantize import dequantised, make_place
from collavo.modeling.architectures.collavo_weights import (
    base_names,
    open_published,
    published_rules,
)
from collavo.modeling.architectures.convert import BESIDE, check_space, copy_beside, written_whole
from collavo.modeling.architectures.xcomposer2 import stored_dtype
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.stage_folder import Stage, open_stage
from collavo.modeling.checkpoints.write import Outgoing, write_shards


@dataclass(frozen=True)
class Merged:
    """What was folded.

    Args:
        base: The folder of the base.
        adapters: Names of the adapters.
        linears: Linears that an adapter changed.
        trained: Tensors that were taken from the stage as they are.
        bits: Bits of the base that the adapters were trained on.
        nbytes: Bytes of all tensors written.
    """

    base: Path
    adapters: tuple[str, ...]
    linears: int
    trained: int
    bits: int
    nbytes: int


def merge(stage_folder: str | Path, target: str | Path, dtype: torch.dtype | None = None) -> Merged:
    """Writes a stage's base with its trained parts and adapters folded in.

    One tensor is held at a time; sums are in float32. `target` gets its name only when all is
    written.

    Args:
        stage_folder: What a stage of training left.
        target: The folder to make; it must not be there, or be empty.
        dtype: Of what is written; None keeps the base's.

    Raises:
        MissingFileError: The stage, its base or a file of them is not there.
        CheckpointError: A part is damaged or does not fit, or a sum is too large for `dtype`.
        ConfigError: The target is in use.
    """
    stage = open_stage(stage_folder)
    source, _ = open_published(stage.base_folder())
    stage.check_base(source)
    fold = _Fold(stage, source)
    with written_whole(Path(target)) as folder:
        shards = [
            [
                Outgoing(name, t.shape, dtype or stored_dtype(t), partial(fold, name, dtype))
                for name, t in source.tensors.items()
                if t.file == file
            ]
            for file in source.files
        ]
        nbytes = sum(t.nbytes for shard in shards for t in shard)
        check_space(folder, nbytes)
        copy_beside(source.folder, folder, BESIDE)
        if dtype is not None:
            config = {**source.config, "torch_dtype": str(dtype).removeprefix("torch.")}
            text = json.dumps(config, indent=2, sort_keys=True) + "\n"
            (folder / "config.json").write_text(text, encoding="utf-8")
        write_shards(folder, shards)
        open_published(folder)
    return Merged(
        source.folder, stage.adapters, fold.linears, len(fold.trained), stage.base.bits, nbytes
    )


class _Fold:
    """Makes the tensors of the merged checkpoint by their published names."""

    def __init__(self, stage: Stage, source: CheckpointFolder) -> None:
        self.stage, self.source = stage, source
        self.trained = stage.read_trained()
        self.adapters: list[Adapter] = stage.read_adapters() if stage.adapters else []
        self.rules = published_rules(source.config, "")
        self.names = base_names(self.rules)
        self.place = make_place(stage.base.bits, torch.float32, "cpu")
        self.linears = 0
        for name, tensor in self.trained.items():
            self._check(name, tuple(tensor.shape))
        known = set(self.names.values())
        for adapter in self.adapters:
            unknown = sorted(set(adapter.pairs) - known)
            if unknown:
                raise CheckpointError(
                    f"adapter {adapter.name} is of another model: this one has no linear "
                    f"{', '.join(unknown[:5])}"
                )

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        stored = self.source.tensors.get(name)
        if stored is None or stored.shape != shape:
            raise CheckpointError(
                f"{self.stage.folder}: {name} is {shape}; the base has "
                f"{stored.shape if stored else 'no such tensor'}"
            )

    def __call__(self, name: str, dtype: torch.dtype | None) -> Tensor:
        """The tensor to write, float32 where anything was computed."""
        tensor = self.trained.get(name)
        full = tensor is not None
        if tensor is None:
            tensor = self.source.read_one(name)
        rule = self.rules[name]
        targets = [self.names[t] for t in rule.targets if t in self.names]
        if self.adapters and targets and (self.stage.base.bits < 16 or self._adapted(targets)):
            tensor = self._folded(tensor, rule, full)
        check_range(name, tensor, dtype or stored_dtype(self.source.tensors[name]))
        return tensor

    def _adapted(self, linears: list[str]) -> bool:
        return any(linear in adapter.pairs for linear in linears for adapter in self.adapters)

    def _folded(self, tensor: Tensor, rule: TensorRule, full: bool) -> Tensor:
        """The base linears of one stored tensor with the adapters' terms in them."""
        place = PlainPlace(torch.float32, "cpu") if full else self.place
        parts = []
        for target, part in zip(rule.targets, rule.parts(tensor), strict=True):
            linear, part = self.names[target], part.contiguous()
            empty = nn.Linear(part.shape[1], part.shape[0], bias=False, device="meta")
            weight = with_adapters(dequantised(place(linear, empty, part)), linear, self.adapters)
            self.linears += int(self._adapted([linear]))
            parts.append(weight)
        return rule.whole(parts)


def with_adapters(weight: Tensor, linear: str, adapters: Sequence[Adapter]) -> Tensor:
    """Adds the terms of all adapters on a linear to its weight, in float32.

    Args:
        weight: (out, in) float32.
        linear: Its name in the LLM.
        adapters: Those of the stage.

    Raises:
        CheckpointError: An adapter is of another shape.
    """
    for adapter in adapters:
        pair = adapter.pairs.get(linear)
        if pair is None:
            continue
        down, up = (p.float() for p in pair)
        if (up.shape[0], down.shape[1]) != tuple(weight.shape):
            raise CheckpointError(
                f"adapter {adapter.name} is of another model: {linear} is "
                f"{(up.shape[0], down.shape[1])} there, {tuple(weight.shape)} here"
            )
        weight = weight + adapter.scale * (up @ down)
    return weight


def check_range(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Checks that a number format holds a tensor's numbers.

    Raises:
        CheckpointError: One is too large for it.
    """
    if tensor.numel() and float(tensor.abs().max()) > torch.finfo(dtype).max:
        raise CheckpointError(
            f"{name} has numbers up to {float(tensor.abs().max()):.4g}, too large for "
            f"{str(dtype).removeprefix('torch.')}; choose --dtype bf16 or fp32"
        )
