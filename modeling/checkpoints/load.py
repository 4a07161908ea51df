"""Loads a checkpoint into a module on the meta device, each tensor straight to its place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from collavo.errors import CheckpointError
from collavo.modeling.adapters.placement import Place, PlainPlace, place_tensor
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.rules import TensorRule


def load_weights(
    model: nn.Module,
    source: CheckpointFolder,
    rules: Mapping[str, TensorRule],
    dtype: torch.dtype,
    device: torch.device | str,
    bases: Mapping[str, str],
    place: Place | None = None,
) -> None:
    """Fills `model`; at no time are two copies of a tensor bigger than the largest held.

    Args:
        model: Its parameters are on the meta device; its buffers are real.
        source: The folder, checked before.
        rules: For each stored tensor where it goes.
        dtype: Of the parameters.
        device: Of the parameters and buffers.
        bases: Weights (by parameter name) of linears that `place` may replace, with the name by
            which `place` is told of them.
        place: Puts those linears into their place; they stay plain if None.

    Raises:
        CheckpointError: A parameter was filled by no tensor, or a tensor is of another shape.
    """
    place = place or PlainPlace(dtype, device)
    used = {name for name, rule in rules.items() if rule.targets}
    for name, tensor in source.read(used):
        rule = rules[name]
        for target, part in zip(rule.targets, rule.parts(tensor), strict=True):
            path, _, leaf = target.rpartition(".")
            module = model.get_submodule(path)
            wanted = getattr(module, leaf).shape
            if part.shape != wanted:
                raise CheckpointError(
                    f"{source.folder}: {name} is {tuple(part.shape)}, where config.json makes it "
                    f"{tuple(wanted)}"
                )
            if target in bases:
                if not isinstance(module, nn.Linear):
                    raise TypeError(f"{path} is a {type(module).__name__}, not a linear to place")
                model.set_submodule(path, place(bases[target], module, part.contiguous()))
            else:
                setattr(module, leaf, place_tensor(part, dtype, device))
        del tensor
    empty = [n for n, p in model.named_parameters() if p.is_meta]
    if empty:
        raise CheckpointError(f"no tensor of {source.folder} fills {', '.join(empty[:12])}")
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device)
