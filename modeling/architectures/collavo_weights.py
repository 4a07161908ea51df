"""CoLLaVO's published checkpoint: where each of its tensors goes in our module, and export."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from collavo.errors import CheckpointError
from collavo.modeling.architectures.published import (
    LINEARS,
    VIT,
    published_shapes,
    vision_fields,
)
from collavo.modeling.checkpoints.config_fields import check_published
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.rules import TensorRule
from collavo.modeling.checkpoints.write import TORCH_DTYPES, Outgoing, cut_shards, write_shards
from collavo.modeling.llms.internlm2 import LLAMA_NAMES, pack_wqkv, unpack_wqkv
from collavo.modeling.vision_encoders.clip_vit import CLIPVisionEncoder, interpolate_positions

POSITIONS = f"{VIT}.embeddings.position_embedding.weight"

RANK_KEYS = (".Plora_A.weight", ".Plora_seg_A.weight")
"""Ends of the tensors whose rows tell the PLoRA rank, which config.json does not say."""

_OUTER = {
    "model.tok_embeddings.": "llm.model.embed_tokens.",
    "model.norm.": "llm.model.norm.",
    "output.": "llm.lm_head.",
    "vision_proj.": "projector.layers.",
    "vision_proj_for_seg.": "crayon_projector.layers.",
    "seg_prompt_embed.": "crayon.seg_prompt_embed.",
    "seg_num_embed.": "crayon.seg_num_embed.",
}

_BESIDE = ("*.json", "*.model", "*.txt")
"""Files of a checkpoint folder beside the weights that an export takes along."""

_SHARD_LIMIT = 10_000_000_000


def placed_rules(config: Mapping[str, Any], encoder: CLIPVisionEncoder) -> dict[str, TensorRule]:
    """Returns where each tensor of the published format goes in a model with `encoder`."""
    prefix = "vision_encoder.tower."
    if hasattr(encoder.tower, "vision_model"):  # as older transformers nest it
        prefix += "vision_model."
    rules = published_rules(config, prefix)
    if vision_fields(config)["image_size"] != encoder.image_size:
        resized = partial(_resized, grid=encoder.grid)
        rules[POSITIONS] = replace(rules[POSITIONS], split=resized)
    return rules


def _resized(table: Tensor, grid: tuple[int, int]) -> tuple[Tensor]:
    return (interpolate_positions(table, grid),)


def published_rules(config: Mapping[str, Any], vision_prefix: str) -> dict[str, TensorRule]:
    """Returns where each tensor of the published format goes.

    Args:
        config: The fields of config.json.
        vision_prefix: Where CLIP's modules lie in our module ("vision_encoder.tower.").
    """
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    packing = (
        partial(unpack_wqkv, heads=heads, kv_heads=kv_heads),
        partial(pack_wqkv, heads=heads, kv_heads=kv_heads),
    )
    rules: dict[str, TensorRule] = {}
    for name in published_shapes(config):
        if name.startswith(f"{VIT}."):
            rules[name] = TensorRule((vision_prefix + name.removeprefix(f"{VIT}."),))
        elif name.startswith("model.layers."):
            index, _, rest = name.removeprefix("model.layers.").partition(".")
            rules[name] = _layer_rule(f"llm.model.layers.{index}.", rest, packing)
        else:
            old = next(old for old in _OUTER if name.startswith(old))
            rules[name] = TensorRule((_OUTER[old] + name.removeprefix(old),))
    return rules


def _layer_rule(prefix: str, name: str, packing: tuple[Any, Any]) -> TensorRule:
    """The rule of one tensor of a layer, named from the layer on."""
    linear = next((n for n in LINEARS if name.startswith(f"{n}.")), None)
    if linear is None:
        norm = name.removesuffix(".weight")
        return TensorRule((f"{prefix}{LLAMA_NAMES[norm][0]}.weight",))
    part = name.removeprefix(f"{linear}.")
    targets = [prefix + n for n in LLAMA_NAMES[linear]]
    if linear == "feed_forward.w2" and part.startswith("Plora_seg_"):
        return TensorRule()
    shared = {"Plora_A.weight": "down.image.weight", "Plora_seg_A.weight": "down.crayon.weight"}
    if part in shared:
        return TensorRule((f"{targets[0]}.{shared[part]}",))
    own = {
        "Plora_main.weight": "base.weight",
        "Plora_B.weight": "up.weight",
        "Plora_seg_B.weight": "crayon_up.weight",
    }
    named = tuple(f"{t}.{own[part]}" for t in targets)
    return TensorRule(named, *packing) if len(named) > 1 else TensorRule(named)


def open_published(folder: str | Path) -> tuple[CheckpointFolder, int]:
    """Opens a checkpoint in the published format and accounts for every tensor.

    Returns:
        The folder, and its PLoRA rank.

    Raises:
        CheckpointError: Tensors are missing, unexpected or misshapen, or it cannot be read.
        MissingFileError: A file is not there.
    """
    source = CheckpointFolder(folder)
    check_published(source.config, str(source.folder / "config.json"))
    published_shapes(source.config)
    rank = _rank(source)
    source.check(published_shapes(source.config, rank))
    unusable = sorted({t.dtype for t in source.tensors.values()} - set(TORCH_DTYPES))
    if unusable:
        raise CheckpointError(
            f"{source.folder} holds tensors of type {', '.join(unusable)}; "
            f"the published format has one of {', '.join(TORCH_DTYPES)}"
        )
    return source, rank


def _rank(source: CheckpointFolder) -> int:
    """The rank that most of the tensors have: one that is misshapen is then named as such."""
    rows = [t.shape[0] for n, t in source.tensors.items() if n.endswith(RANK_KEYS) and t.shape]
    return Counter(rows).most_common(1)[0][0] if rows else 1


def export_published(
    model: nn.Module,
    config: Mapping[str, Any],
    rank: int,
    rules: Mapping[str, TensorRule],
    folder: str | Path,
    source: CheckpointFolder | None,
) -> None:
    """Writes `model` in the published format, one tensor at a time.

    With `source` known, tensors come in its order, dtypes and shards, and byte-equal to it where
    the model did not change them; those that the model does not hold are copied from it.

    Raises:
        CheckpointError: The target is the source, or weights are quantised and no source is known.
    """
    target = Path(folder)
    if source is not None and target.resolve() == source.folder.resolve():
        raise CheckpointError(f"{target} is the checkpoint that the model reads; export elsewhere")
    if rules[POSITIONS].split is not None:  # interpolated: the checkpoint's own are kept
        rules = {**rules, POSITIONS: TensorRule()}
    shapes = published_shapes(config, rank)
    default = next(p.dtype for p in model.parameters() if p.is_floating_point())
    names = list(source.tensors) if source is not None else list(shapes)
    outgoing = {
        name: Outgoing(
            name,
            shapes[name],
            TORCH_DTYPES[source.tensors[name].dtype] if source is not None else default,
            partial(_value, model, name, rules[name], shapes[name], default, source),
        )
        for name in names
    }
    if source is None:
        write_shards(target, cut_shards(list(outgoing.values()), _SHARD_LIMIT))
    else:
        files = [[n for n in names if source.tensors[n].file == file] for file in source.files]
        write_shards(target, [[outgoing[n] for n in shard] for shard in files])
        for pattern in _BESIDE:
            for beside in source.folder.glob(pattern):
                if not (target / beside.name).exists():
                    shutil.copyfile(beside, target / beside.name)
    if source is None or dict(source.config) != config:
        text = json.dumps(dict(config), indent=1, sort_keys=True) + "\n"
        (target / "config.json").write_text(text, encoding="utf-8")


def _value(
    model: nn.Module,
    name: str,
    rule: TensorRule,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    source: CheckpointFolder | None,
) -> Tensor:
    """The stored tensor of a rule: from the model, or from the source what the model lacks."""
    parts = [_weight(model, target) for target in rule.targets]
    if not parts or any(p is None for p in parts):
        if source is not None:
            return source.read_one(name)
        if parts:
            raise CheckpointError(f"{name} is quantised; load with LLM.BITS 16 to export")
        return torch.zeros(shape, dtype=dtype)
    value = rule.whole([p.detach().cpu() for p in parts if p is not None])
    if source is None or TORCH_DTYPES[source.tensors[name].dtype] == value.dtype:
        return value
    stored = source.read_one(name)
    return stored if torch.equal(stored.to(value.dtype), value) else value


def _weight(model: nn.Module, target: str) -> Tensor | None:
    """A parameter of the model, or None where its linear is quantised."""
    path, _, leaf = target.rpartition(".")
    module = model.get_submodule(path)
    if leaf == "weight" and path.endswith(".base") and type(module) is not nn.Linear:
        return None
    found: Tensor = getattr(module, leaf)
    return found


def base_names(rules: Mapping[str, TensorRule]) -> dict[str, str]:
    """Lists the base linears' weights with their names in the LLM, which quantisers are told."""
    targets: Sequence[str] = [t for rule in rules.values() for t in rule.targets]
    return {
        t: t.removeprefix("llm.").removesuffix(".base.weight")
        for t in targets
        if t.endswith(".base.weight")
    }
