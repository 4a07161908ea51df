"""CLIP's vision transformer on transformers' own body (Radford et al., 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from collavo.modeling.pretrained import load_pretrained
from collavo.modeling.vision_encoders.base import VisionEncoder, VisionFeatures
from collavo.registry import VISION_ENCODERS

if TYPE_CHECKING:
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

    def __init__(
        self, config: Mapping[str, Any] | None = None, image_size: int = 336, attn: str = "sdpa"
    ) -> None:
        super().__init__()
        fields = {**CLIP_L_14_336, **(config or {}), "image_size": image_size}
        clip_config = CLIPVisionConfig(**fields)
        clip_config._attn_implementation = attn
        self.tower = CLIPVisionModel(clip_config)
        self.image_size = image_size
        self.width = clip_config.hidden_size
        side = image_size // int(fields["patch_size"])
        self.grid = (side, side)

    @classmethod
    def from_config(cls, cfg: Any) -> CLIPVisionEncoder:
        """Builds the encoder from the published tower at `cfg`'s image size, with fresh weights.

        Args:
            cfg: A node with `IMAGE_SIZE`, in pixels, and optionally `FIELDS`, a mapping that
                overrides CLIP-L/14-336's.
        """
        return cls(cfg.get("FIELDS"), cfg.IMAGE_SIZE)

    @classmethod
    def from_pretrained(cls, folder: str | Path, image_size: int) -> CLIPVisionEncoder:
        """Loads a CLIP checkpoint of transformers and resizes its positions to `image_size`."""
        source = load_pretrained(CLIPVisionModel, folder, "the vision tower")
        fields = source.config.to_dict()
        encoder = cls({k: fields[k] for k in CLIP_L_14_336}, image_size)
        state = source.state_dict()
        key = next(k for k in state if k.endswith("position_embedding.weight"))
        state[key] = interpolate_positions(state[key], encoder.grid)
        encoder.tower.load_state_dict(state)
        return encoder

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> VisionFeatures:
        pixels = normalise(images).to(next(self.tower.parameters()).dtype)
        # the CLS token goes; no final norm: LLaVA-style models read the features before it
        hidden = self.tower(pixel_values=pixels).last_hidden_state
        return VisionFeatures([hidden[:, 1:]], self.grid)
