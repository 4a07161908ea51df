"""Folds a stage of training on a model of parts into a whole checkpoint."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from collavo.modeling.adapters.quantize import dequantised
from collavo.modeling.architectures.convert import SHARD_LIMIT, check_space, written_whole
from collavo.modeling.architectures.merge import Merged, check_range, with_adapters
from collavo.modeling.architectures.vlm_folder import LLM_FOLDER
from collavo.modeling.checkpoints.artefact import stored_tensor
from collavo.modeling.checkpoints.stage_folder import Stage
from collavo.modeling.checkpoints.write import DTYPE_NAMES, Outgoing, cut_shards, write_shards
from collavo.modeling.llms.base import LLMSettings

if TYPE_CHECKING:
    from collavo.modeling.adapters.peft_format import Adapter
    from collavo.modeling.architectures.vlm import VLM


def merge_parts(
    kind: type[VLM], stage: Stage, target: Path, dtype: torch.dtype | None = None
) -> Merged:
    """Writes a stage's parts, what it trained and its adapters as one checkpoint.

    The model is held in float32 meanwhile. `target` gets its name only when all is written.

    Args:
        kind: The stage's architecture.
        stage: What a stage of training left.
        target: The folder to make; it must not be there, or be empty.
        dtype: Of what is written; None keeps the LLM's.

    Raises:
        UserError: The base is not there, or a part is damaged or does not fit.
    """
    settings = LLMSettings(torch.device("cpu"), torch.float32, "sdpa", stage.base.bits)
    model = kind.from_stage(stage, settings)
    adapters = stage.read_adapters()
    dtype = dtype or _dtype_of(model.llm_config)
    with written_whole(target) as folder:
        outgoing = [_outgoing(model, name, adapters, dtype) for name in model.stored_rules()]
        nbytes = sum(t.nbytes for t in outgoing)
        check_space(folder, nbytes)
        write_shards(folder, cut_shards(outgoing, SHARD_LIMIT))
        text = json.dumps(model.stored_config(dtype), indent=2, sort_keys=True) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        beside = folder / LLM_FOLDER
        beside.mkdir()
        text = json.dumps(model.llm_config, indent=2, sort_keys=True) + "\n"
        (beside / "config.json").write_text(text, encoding="utf-8")
        for file in model.tokenizer.files if model.tokenizer is not None else ():
            shutil.copyfile(file, beside / file.name)
        kind.from_folder(folder, settings)  # what cannot be read back is not left
    linears = {linear for adapter in adapters for linear in adapter.pairs}
    return Merged(
        base=Path(stage.base.weights or "its parts"),
        adapters=stage.adapters,
        linears=len(linears),
        trained=len(stage.trained),
        bits=stage.base.bits,
        nbytes=nbytes,
    )


def _outgoing(model: VLM, name: str, adapters: list[Adapter], dtype: torch.dtype) -> Outgoing:
    """One tensor to write; statistics in buffers keep float32, since some of them count."""
    module, _ = _holder(model, name)
    is_buffer = name.rpartition(".")[2] in module._buffers
    shape = tuple(stored_tensor(model, name).shape)
    if isinstance(module, nn.Linear) and name.endswith(".weight"):  # a quantised one is packed
        shape = (module.out_features, module.in_features)
    kept = torch.float32 if is_buffer else dtype
    return Outgoing(name, shape, kept, partial(_folded, model, name, adapters, kept))


def _folded(model: VLM, name: str, adapters: list[Adapter], dtype: torch.dtype) -> Tensor:
    """The tensor to write: the model's, dequantised, with the adapters' terms in it."""
    module, path = _holder(model, name)
    if path.startswith("llm.") and isinstance(module, nn.Linear) and name.endswith(".weight"):
        tensor = with_adapters(dequantised(module), path.removeprefix("llm."), adapters)
    else:
        tensor = stored_tensor(model, name)
    check_range(name, tensor, dtype)
    return tensor


def _holder(model: VLM, name: str) -> tuple[nn.Module, str]:
    """The module that computes with a tensor, inside of its adapters, and its path."""
    path = name.rpartition(".")[0]
    module = model.get_submodule(path)
    return getattr(module, "base_layer", module), path


def _dtype_of(config: dict[str, Any]) -> torch.dtype:
    """The number format that an LLM's config.json says, float32 where it says none."""
    named = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return {str(d).removeprefix("torch."): d for d in DTYPE_NAMES}.get(named, torch.float32)
