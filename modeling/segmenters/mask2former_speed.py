"""Faster parts for a Mask2Former of transformers on the CPU: same weights, equal to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from collavo.modeling.ops.deformable import GatherDeformableAttention

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from transformers import Mask2FormerForUniversalSegmentation


class MaskPredictor(nn.Module):
    """Predicts masks and the attention mask of the next layer.

    The attention mask is the same for all heads, and is made boolean before it is repeated for
    them. Source: Cheng et al., 2022, section 3.2.1, as transformers computes it.

    Args:
        module: Has `mask_embedder` and `num_heads`.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.mask_embedder, self.num_heads = module.mask_embedder, module.num_heads

    def forward(
        self,
        outputs: Float[Tensor, "queries batch width"],
        pixel_embeddings: Float[Tensor, "batch width height columns"],
        attention_mask_target_size: tuple[int, int],
    ) -> tuple[Float[Tensor, "batch queries height columns"], Bool[Tensor, "heads queries cells"]]:
        """Returns the mask logits, and where the next layer must not look."""
        embeds = self.mask_embedder(outputs.transpose(0, 1))
        logits = torch.bmm(embeds, pixel_embeddings.flatten(2))
        logits = logits.unflatten(2, pixel_embeddings.shape[-2:])
        # One channel an image keeps PyTorch from copying to the channels-last layout and back.
        small = F.interpolate(
            logits.flatten(0, 1).unsqueeze(1),
            size=attention_mask_target_size,
            mode="bilinear",
            align_corners=False,
        )
        hidden = (small.sigmoid() < 0.5).view(len(logits), 1, logits.shape[1], -1)
        return logits, hidden.repeat(1, self.num_heads, 1, 1).flatten(0, 1)


def use_fast_parts(model: Mask2FormerForUniversalSegmentation) -> None:
    """Replaces deformable attention and the mask predictor, in place; for inference on the CPU."""
    layers: Any = model.model.pixel_level_module.decoder.encoder.layers
    for layer in layers:
        layer.self_attn = GatherDeformableAttention(layer.self_attn)
        layer.activation_fn = torch.relu_
    decoder: Any = model.model.transformer_module.decoder
    decoder.mask_predictor = MaskPredictor(decoder.mask_predictor)
