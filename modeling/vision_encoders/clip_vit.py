"""CLIP's vision transformer on transformers' own body (Radford et al., 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from collavo.errors import DataError
from collavo.modeling.pretrained import load_pretrained
from collavo.modeling.vision_encoders.base import VisionEncoder, VisionFeatures
from collavo.registry import VISION_ENCODERS

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, UInt8

CLIP_L_14_336: Mapping[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "hidden_act": "quick_gelu",
    "patch_size": 14,
}
"""The tower of openai/clip-vit-large-patch14-336. Source: its config.json, vision_config."""

POSITIONS = "embeddings.position_embedding.weight"

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of RGB values in [0, 1]. Source: the checkpoint's preprocessor_config.json."""


def normalise(
    images: UInt8[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """Subtracts CLIP's mean and divides by its deviation, in float32.

    Source: CoLLaVO (commit fb419fa), arch_collavo.py; there in half precision, here in float32.
    """
    mean = torch.tensor(MEAN, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(3, 1, 1) * 255
    return (images.float() - mean) / std


def interpolate_positions(
    weight: Float[Tensor, "positions width"], grid: tuple[int, int]
) -> Float[Tensor, "resized width"]:
    """Resizes a square table of position embeddings to another grid; the CLS row is kept.

    Bicubic in float32, rounded through half precision.

    Source: CoLLaVO commit fb419fa, build_mlp.py.
    """
    side = round((weight.shape[0] - 1) ** 0.5)
    if side * side != weight.shape[0] - 1:
        raise ValueError(f"{weight.shape[0]} positions are no CLS token and a square grid")
    # (1 + side^2, C) -> (1, C, side, side), as interpolate takes it; row 0 is CLS
    patches = weight[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    resized = nn.functional.interpolate(patches, size=grid, mode="bicubic", align_corners=False)
    # half(): the original resized a half-precision table, and its rounding is in every feature
    resized = resized.permute(0, 2, 3, 1).reshape(grid[0] * grid[1], -1).half()
    return torch.cat([weight[:1], resized.to(weight.dtype)])


@VISION_ENCODERS.register("clip_vit", "clip")
class CLIPVisionEncoder(VisionEncoder):
    """CLIP's vision transformer: the last layer's patch features, before the final norm.

    Args:
        config: Fields of `CLIPVisionConfig`; what is left out is as in CLIP-L/14-336.
        image_size: Height and width of the images, in pixels; overrides the config's.
        attn: transformers' name of the attention implementation.
    """

    mean = MEAN

    def __init__(
        self, config: Mapping[str, Any] | None = None, image_size: int = 336, attn: str = "sdpa"
    ) -> None:
        super().__init__()
        fields = {**CLIP_L_14_336, **(config or {}), "image_size": image_size}
        clip_config = CLIPVisionConfig(**fields)
        clip_config._attn_implementation = attn
        self.tower = CLIPVisionModel(clip_config)
        self.fields = {name: fields[name] for name in (*CLIP_L_14_336, "image_size")}
        self.image_size = image_size
        self.width = clip_config.hidden_size
        side = image_size // int(fields["patch_size"])
        self.grid = (side, side)

    @classmethod
    def from_config(cls, fields: Mapping[str, Any], image_size: int, attn: str) -> Self:
        size = image_size or int(fields.get("image_size", 336))
        return cls(fields, size, attn if attn == "eager" else "sdpa")

    @classmethod
    def load(cls, folder: str | Path, image_size: int = 0, attn: str = "sdpa") -> Self:
        """Loads a CLIP checkpoint of transformers; its positions are resized to another size."""
        source = load_pretrained(CLIPVisionModel, folder, "VISION.WEIGHTS")
        fields = source.config.to_dict()
        size = image_size or int(fields["image_size"])
        encoder = cls.from_config({name: fields[name] for name in CLIP_L_14_336}, size, attn)
        encoder.load_tower(source.state_dict())
        return encoder

    def load_tower(self, state: Mapping[str, Tensor]) -> None:
        """Fills the tower; positions of another image size are resized to this one's.

        Args:
            state: Tensors by transformers' names, from `embeddings` and `encoder` on.
        """
        named = {name.removeprefix("vision_model."): tensor for name, tensor in state.items()}
        table = named[POSITIONS]
        if table.shape[0] != self.grid[0] * self.grid[1] + 1:
            named[POSITIONS] = interpolate_positions(table, self.grid)
        getattr(self.tower, "vision_model", self.tower).load_state_dict(named)

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> VisionFeatures:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise DataError(
                f"images are {tuple(images.shape[-2:])} pixels; the model takes "
                f"{self.image_size} x {self.image_size}"
            )
        pixels = normalise(images).to(next(self.tower.parameters()).dtype)
        # the CLS token goes; no final norm: LLaVA-style models read the features before it
        hidden = self.tower(pixel_values=pixels).last_hidden_state
        return VisionFeatures([hidden[:, 1:]], self.grid)
