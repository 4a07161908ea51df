"""Writes what a stage of training leaves, and puts it on its base again."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from collavo.errors import CheckpointError
from collavo.modeling.adapters.placement import place_tensor
from collavo.modeling.adapters.switch import adapter_of, switch_of
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.running import running_statistics
from collavo.modeling.checkpoints.stage_folder import (
    ADAPTERS,
    FORMAT,
    STAGE,
    TRAINED,
    Base,
    Stage,
    named_weights,
    open_stage,
)
from collavo.modeling.checkpoints.write import Outgoing, write_file

if TYPE_CHECKING:
    from collavo.modeling.adapters.peft_format import Adapter

logger = logging.getLogger(__name__)


class StagedModel(Protocol):
    """What is asked of a model whose stages are written and read."""

    kind: str
    llm: Any
    stage: Stage | None

    def stored_rules(self) -> Mapping[str, TensorRule]:
        """Returns where each stored tensor goes in the model."""
        ...

    def stage_base(self, folder: Path) -> Base:
        """Returns what a stage in `folder` is to say of the base that the model was read from.

        Raises:
            CheckpointError: It came from no checkpoint.
        """
        ...

    def get_submodule(self, target: str) -> nn.Module: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def write_artefact(model: StagedModel, folder: str | Path) -> Stage:
    """Writes the trained parts of a model: what requires a gradient, and what came with a stage.

    Everything is read back and compared before the folder counts as one of a stage.

    Args:
        model: It; its base was read from a checkpoint.
        folder: Made if it is not there.

    Raises:
        CheckpointError: The model came from no checkpoint, a trained parameter has no place in the
            published format, or what was read back differs.
    """
    from collavo.modeling.adapters.peft_format import take_adapter, write_adapter

    target = Path(folder)
    base = model.stage_base(target)
    target.mkdir(parents=True, exist_ok=True)
    switch = switch_of(model.llm)
    adapters = [take_adapter(model.llm, name) for name in (switch.names if switch else ())]
    for adapter in adapters:
        write_adapter(adapter, model.llm, target / ADAPTERS / adapter.name)
    tensors = trained_tensors(model)
    if tensors:
        outgoing = [
            Outgoing(name, tuple(value.shape), value.dtype, partial(_itself, value))
            for name, value in tensors.items()
        ]
        write_file(target / TRAINED, outgoing)
    zero = tuple(adapter.name for adapter in adapters if adapter.is_zero)
    for name in zero:
        logger.warning("adapter %s is zero: no step trained it", name)
    names = tuple(adapter.name for adapter in adapters)
    stage = Stage(target, base, tuple(tensors), names, zero, model.kind)
    fields = {"format": FORMAT, **asdict(stage)}
    del fields["folder"]
    fields["base"]["fingerprint"] = stage.base.fingerprint
    partial_file = target / f".{STAGE}.partial"
    partial_file.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
    _verify(stage, tensors, adapters)
    partial_file.replace(target / STAGE)
    return open_stage(target)


def trained_tensors(model: StagedModel) -> dict[str, Tensor]:
    """Returns the tensors trained as they are, by their published names.

    Raises:
        CheckpointError: One has no place in the published format.
    """
    trained = {
        name.replace(".base_layer.", ".")
        for name, p in model.named_parameters()
        if p.requires_grad and not adapter_of(name)
    }
    trained |= running_statistics(cast("nn.Module", model)).keys()
    carried = set(model.stage.trained) if model.stage is not None else set()
    found: dict[str, Tensor] = {}
    placed: set[str] = set()
    for name, rule in model.stored_rules().items():
        placed.update(rule.targets)
        if name not in carried and not trained & set(rule.targets):
            continue
        if rule.split is not None and rule.join is None:
            raise CheckpointError(
                f"{name} was trained at another image size than the checkpoint's; it has no place "
                "in the published format"
            )
        parts = [stored_tensor(model, t).detach().cpu() for t in rule.targets]
        whole = rule.whole(parts)
        # a norm counts its batches in whole numbers, for which the files have no type
        found[name] = whole if whole.is_floating_point() else whole.float()
    lost = sorted(trained - placed)
    if lost:
        raise CheckpointError(
            f"the published format has no place for the trained {', '.join(lost[:5])}"
        )
    return found


def apply_stage(
    model: StagedModel, stage: Stage, dtype: torch.dtype, device: torch.device | str
) -> None:
    """Puts a stage's trained parts and adapters on its base, frozen.

    Args:
        model: Loaded from the stage's base.
        stage: It.
        dtype: Of the parameters.
        device: Of the parameters.

    Raises:
        CheckpointError: A part is missing, damaged or does not fit.
    """
    rules = model.stored_rules()
    for name, tensor in stage.read_trained().items():
        rule = rules.get(name)
        if rule is None or not rule.targets:
            raise CheckpointError(f"{stage.folder}: {name} is no tensor of this model")
        for target, part in zip(rule.targets, rule.parts(tensor), strict=True):
            here = stored_tensor(model, target)
            if here.shape != part.shape:
                raise CheckpointError(
                    f"{stage.folder}: {name} is {tuple(part.shape)}; this model has "
                    f"{tuple(here.shape)}"
                )
            if not isinstance(here, nn.Parameter):
                here.copy_(part)
                continue
            path, _, leaf = target.rpartition(".")
            setattr(model.get_submodule(path), leaf, place_tensor(part, dtype, device))
    if stage.adapters:
        from collavo.modeling.adapters.peft_format import load_adapters

        load_adapters(model.llm, stage.read_adapters(), dtype, device)
    model.stage = stage


def base_of(
    origin: tuple[str, str], identity: Mapping[str, Any], files: Mapping[str, str], target: Path
) -> Base:
    """Describes the checkpoint that a model was read from, as seen from a stage's folder.

    Args:
        origin: Its folder or hub id, and the revision.
        identity: The model's settings.
        files: sha256 of each of its files.
        target: The stage's folder.
    """
    weights, revision = origin
    named = named_weights(weights)
    near = os.path.relpath(named, target.resolve()) if Path(named).is_dir() else ""
    return Base(
        weights=named,
        revision=revision,
        relative=near,
        bits=int(identity.get("bits", 16)),
        dtype=str(identity.get("dtype", "float32")),
        files=files,
    )


def _verify(stage: Stage, tensors: Mapping[str, Tensor], adapters: list[Adapter]) -> None:
    """Reads everything back; a disk or a library that lost a part is found out at once."""
    read = stage.read_trained()
    wrong = [name for name, value in tensors.items() if not torch.equal(read[name], value)]
    for adapter, again in zip(adapters, stage.read_adapters(), strict=True):
        wrong += [
            f"{adapter.name}: {name}"
            for name, pair in adapter.pairs.items()
            if name not in again.pairs
            or not all(torch.equal(*both) for both in zip(pair, again.pairs[name], strict=True))
        ]
    if wrong:
        raise CheckpointError(
            f"{stage.folder}: what was read back is not what was written: {', '.join(wrong[:5])}"
        )


def stored_tensor(model: StagedModel, target: str) -> Tensor:
    """Returns a parameter or buffer of a model by its name without adapters."""
    path, _, leaf = target.rpartition(".")
    module = model.get_submodule(path)
    return getattr(getattr(module, "base_layer", module), leaf)


def _itself(value: Tensor) -> Tensor:
    return value
