"""A start from InternLM-XComposer2-VL (Dong et al., 2024, arXiv 2401.16420): its weights renamed.

It keeps a base weight as `<linear>.weight` where CoLLaVO says `<linear>.Plora_main.weight`; all
else but the crayon branch has the same name in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from collavo.errors import CheckpointError
from collavo.modeling.architectures.published import CLIP_L_14, Shape, published_shapes
from collavo.modeling.checkpoints.folder import CheckpointFolder, StoredTensor
from collavo.modeling.checkpoints.write import TORCH_DTYPES, Outgoing

CONFIG_FIELDS = (
    "bias",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "img_size",
    "initializer_range",
    "intermediate_size",
    "max_length",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "rms_norm_eps",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "torch_dtype",
    "use_cache",
    "vision_config",
    "vocab_size",
)
"""What an XComposer2 config hands on; its code references (`auto_map`) stay behind."""

BASE_KEY = "model.layers.0.attention.wqkv.weight"
_EMBED = "model.tok_embeddings.weight"
_BUFFERS = (".position_ids", ".rotary_emb.inv_freq")
"""Ends of names that old releases of transformers stored and every release computes."""


def base_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the published config.json for a start from an XComposer2's.

    Raises:
        CheckpointError: A field lacks that the published format needs.
    """
    config = {name: fields[name] for name in CONFIG_FIELDS if name in fields}
    config["model_type"] = "internlm"
    size = config.get("img_size", CLIP_L_14["image_size"])
    if not config.get("vision_config") and size != CLIP_L_14["image_size"]:
        config["vision_config"] = {**CLIP_L_14, "image_size": size}
    config["collavo"] = {
        "crayon_trained": False,
        "note": "Started from an XComposer2; the crayon branch adds nothing until it is trained.",
    }
    published_shapes(config, rank=1)
    return config


def base_names(config: Mapping[str, Any], rank: int) -> dict[str, tuple[str, Shape] | None]:
    """Maps each published tensor to the base's name and shape of it; None for those it lacks."""
    names: dict[str, tuple[str, Shape] | None] = {}
    for name, shape in published_shapes(config, rank).items():
        if name == _EMBED:
            names[name] = (name, (shape[0] - 1, shape[1]))
        elif "Plora_seg_" in name or name.startswith("seg_"):
            names[name] = None
        else:
            old = name.replace(".Plora_main.", ".").replace("vision_proj_for_seg.", "vision_proj.")
            names[name] = (old, shape)
    return names


def outgoing_from_base(
    folder: CheckpointFolder, dtype: torch.dtype | None, seed: int
) -> tuple[list[Outgoing], int]:
    """Returns the tensors of a start from a base, and how many of them are new.

    Args:
        folder: The base's.
        dtype: What floats become; None keeps each as it is.
        seed: Draws the crayon branch.

    Raises:
        CheckpointError: Tensors are missing, unexpected or misshapen.
    """
    key = folder.tensors.get(BASE_KEY.replace(".weight", ".Plora_A.weight"))
    rank = key.shape[0] if key is not None else 1
    config = base_config(folder.config)
    names = base_names(config, rank)
    expected = {old: shape for named in names.values() if named for old, shape in [named]}
    buffers = {n: t.shape for n, t in folder.tensors.items() if n.endswith(_BUFFERS)}
    folder.check(expected | buffers)
    shapes = published_shapes(config, rank)
    float_type = dtype or stored_dtype(folder.tensors[BASE_KEY])
    outgoing = []
    for name, named in names.items():
        if named is None:
            make = partial(fresh_tensor, name, shapes[name], seed)
            outgoing.append(Outgoing(name, shapes[name], float_type, make))
            continue
        stored = folder.tensors[named[0]]
        make = partial(folder.read_one, named[0])
        if name == _EMBED:
            make = partial(_with_image_row, folder, name)
        outgoing.append(Outgoing(name, shapes[name], dtype or stored_dtype(stored), make))
    return outgoing, sum(1 for n in names if names[n] is None or "for_seg" in n)


def fresh_tensor(name: str, shape: Shape, seed: int = 0) -> Tensor:
    """Draws a tensor of the crayon branch, in float32, by its name and the seed alone.

    A is drawn as LoRA's and B is zero, so that the start equals the base with and without a
    Crayon Prompt. While B is zero, no gradient reaches the tables: B has to train with them.
    """
    if name.endswith("Plora_seg_B.weight"):
        return torch.zeros(shape)
    key = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "big") >> 1)
    if name.endswith("Plora_seg_A.weight"):
        bound = shape[1] ** -0.5
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return torch.empty(shape).normal_(0.0, 0.02, generator=generator)


def _with_image_row(folder: CheckpointFolder, name: str) -> Tensor:
    """The embedding with a row for `<image>`, which the image's features always replace."""
    table = folder.read_one(name)
    return torch.cat([table, table.new_zeros(1, table.shape[1])])


def stored_dtype(stored: StoredTensor) -> torch.dtype:
    """Returns the dtype of a stored tensor.

    Raises:
        CheckpointError: It is none that a checkpoint of ours may have.
    """
    if stored.dtype not in TORCH_DTYPES:
        raise CheckpointError(
            f"{stored.file} holds tensors of type {stored.dtype}; only {', '.join(TORCH_DTYPES)} "
            "can be converted"
        )
    return TORCH_DTYPES[stored.dtype]
