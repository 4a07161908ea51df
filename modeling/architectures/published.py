"""The published CoLLaVO checkpoint format: the name and shape of every tensor, from its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collavo.errors import CheckpointError

Shape = tuple[int, ...]

CLIP_L_14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "hidden_act": "quick_gelu",
    "image_size": 490,
    "patch_size": 14,
}
"""The vision tower where config.json has no `vision_config`: CLIP-L/14-336 at 490 px."""

NUM_CLASSES = 134
"""Rows of `seg_prompt_embed`: unknown, then the 133 classes of COCO panoptic."""

NUM_INSTANCES = 21
"""Rows of `seg_num_embed`: unknown, then the first to the twentieth of a class."""

PLORA_RANK = 256
"""The rank of the published checkpoint; others tell theirs by the shape of `Plora_A`."""

LINEARS = (
    "attention.wqkv",
    "attention.wo",
    "feed_forward.w1",
    "feed_forward.w3",
    "feed_forward.w2",
)
"""The linears of an InternLM2 layer; all carry PLoRA."""

DEAD_SEG = "feed_forward.w2.Plora_seg_"
"""Part of the names of tensors that the checkpoint holds and the original never reads."""

VIT = "vit.vision_tower.vision_model"


def published_shapes(config: Mapping[str, Any], rank: int = PLORA_RANK) -> dict[str, Shape]:
    """Returns the shape of every tensor of a checkpoint in the published format.

    Source: CoLLaVO commit fb419fa and the index of its published weights (1,268 tensors).

    Args:
        config: The fields of config.json.
        rank: The PLoRA rank.

    Raises:
        CheckpointError: The config lacks a field.
    """
    try:
        vision = vision_fields(config)
        width, classes = int(config["hidden_size"]), int(config["vocab_size"])
        shapes: dict[str, Shape] = {"model.tok_embeddings.weight": (classes + 1, width)}
        for i in range(int(config["num_hidden_layers"])):
            for name, shape in layer_shapes(config, rank).items():
                shapes[f"model.layers.{i}.{name}"] = shape
    except KeyError as error:
        raise CheckpointError(
            f"config.json lacks {error}, which the published format has"
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config.json holds what is no number: {error}") from error
    shapes |= {"model.norm.weight": (width,), "output.weight": (classes, width)}
    shapes |= vision_shapes(vision)
    channels = int(vision["hidden_size"])
    for projector in ("vision_proj", "vision_proj_for_seg"):
        shapes[f"{projector}.0.weight"] = (width, channels)
        shapes[f"{projector}.2.weight"] = (width, width)
        shapes |= {f"{projector}.{i}.bias": (width,) for i in (0, 2)}
    shapes["seg_prompt_embed.weight"] = (NUM_CLASSES, channels)
    shapes["seg_num_embed.weight"] = (NUM_INSTANCES, channels)
    return shapes


def vision_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the vision tower's fields: CLIP-L/14 at `img_size` where config.json has none."""
    size = config.get("img_size", CLIP_L_14["image_size"])
    return {**CLIP_L_14, "image_size": size, **(config.get("vision_config") or {})}


def linear_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Returns (out, in) of each linear in `LINEARS`."""
    width, hidden = int(config["hidden_size"]), int(config["intermediate_size"])
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    packed = width // heads * (heads + 2 * kv_heads)
    sizes = ((packed, width), (width, width), (hidden, width), (hidden, width), (width, hidden))
    return dict(zip(LINEARS, sizes, strict=True))


def layer_shapes(config: Mapping[str, Any], rank: int) -> dict[str, Shape]:
    """Returns the tensors of one LLM layer, named from the layer on."""
    shapes: dict[str, Shape] = {}
    for name, (out_size, in_size) in linear_shapes(config).items():
        shapes[f"{name}.Plora_main.weight"] = (out_size, in_size)
        for branch in ("Plora_", "Plora_seg_"):
            shapes[f"{name}.{branch}A.weight"] = (rank, in_size)
            shapes[f"{name}.{branch}B.weight"] = (out_size, rank)
    width = int(config["hidden_size"])
    return shapes | {"attention_norm.weight": (width,), "ffn_norm.weight": (width,)}


def vision_shapes(vision: Mapping[str, Any]) -> dict[str, Shape]:
    """Returns the tensors of the CLIP tower."""
    width, hidden = int(vision["hidden_size"]), int(vision["intermediate_size"])
    patch = int(vision["patch_size"])
    positions = (int(vision["image_size"]) // patch) ** 2 + 1
    shapes: dict[str, Shape] = {
        f"{VIT}.embeddings.class_embedding": (width,),
        f"{VIT}.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        f"{VIT}.embeddings.position_embedding.weight": (positions, width),
    }
    norms = [f"{VIT}.pre_layrnorm", f"{VIT}.post_layernorm"]
    linears: dict[str, Shape] = {}
    for i in range(int(vision["num_hidden_layers"])):
        layer = f"{VIT}.encoder.layers.{i}"
        norms += [f"{layer}.layer_norm1", f"{layer}.layer_norm2"]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linears[f"{layer}.self_attn.{name}"] = (width, width)
        linears[f"{layer}.mlp.fc1"] = (hidden, width)
        linears[f"{layer}.mlp.fc2"] = (width, hidden)
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes
