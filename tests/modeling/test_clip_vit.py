"""CLIP's features and positions, and the projector."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from collavo.modeling.projectors.mlp import MLPProjector
from collavo.modeling.vision_encoders.clip_vit import (
    CLIPVisionEncoder,
    interpolate_positions,
    normalise,
)
from collavo.registry import PROJECTORS, VISION_ENCODERS

TINY = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def test_features_are_the_last_layer_s_patches_before_the_final_norm() -> None:
    torch.manual_seed(0)
    encoder = VISION_ENCODERS.get("clip")(TINY, image_size=42).eval()
    images = torch.randint(0, 256, (2, 3, 42, 42), dtype=torch.uint8)
    with torch.no_grad():
        found = encoder(images)
        states = encoder.tower(pixel_values=normalise(images), output_hidden_states=True)
    assert found.grid == (3, 3) and len(found.levels) == 1
    assert torch.equal(found.levels[0], states.hidden_states[-1][:, 1:])
    normed = encoder.tower.get_submodule("post_layernorm")(found.levels[0])
    assert not torch.allclose(normed, found.levels[0])


def test_pixels_are_normalised_by_clip_s_mean_and_deviation() -> None:
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    images[0, 1] = 255
    expected = [-0.48145466 / 0.26862954, (1 - 0.4578275) / 0.26130258, -0.40821073 / 0.27577711]
    torch.testing.assert_close(normalise(images).flatten(), torch.tensor(expected))


def cubic(t: float) -> float:
    """Keys' cubic kernel with a = -0.75."""
    a, t = -0.75, abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def test_positions_are_interpolated_bicubically_and_rounded_to_half() -> None:
    torch.manual_seed(0)
    table = torch.randn(17, 2)
    found = interpolate_positions(table, (6, 6))
    assert found.shape == (37, 2) and torch.equal(found[0], table[0])
    weights = torch.zeros(6, 4, dtype=torch.float64)
    for out in range(6):
        at = (out + 0.5) * 4 / 6 - 0.5
        for tap in range(math.floor(at) - 1, math.floor(at) + 3):
            weights[out, min(max(tap, 0), 3)] += cubic(at - tap)
    square = table[1:].view(4, 4, 2).double()
    expected = torch.einsum("iy,jx,yxc->ijc", weights, weights, square).view(36, 2)
    torch.testing.assert_close(found[1:].double(), expected, atol=2e-3, rtol=1e-3)
    assert torch.equal(found[1:].half().float(), found[1:])
    with pytest.raises(ValueError, match="no CLS token and a square"):
        interpolate_positions(table[:-1], (6, 6))


def test_a_clip_checkpoint_is_loaded_at_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = CLIPVisionModel(CLIPVisionConfig(**TINY, patch_size=14, image_size=28))
    source.save_pretrained(tmp_path)
    encoder = CLIPVisionEncoder.load(tmp_path, image_size=42)
    table = next(p for n, p in source.named_parameters() if "position_embedding" in n)
    found = next(p for n, p in encoder.named_parameters() if "position_embedding" in n)
    assert encoder.grid == (3, 3)
    assert torch.equal(found, interpolate_positions(table.detach(), (3, 3)))


def test_the_projector_is_linear_gelu_linear() -> None:
    torch.manual_seed(0)
    projector = PROJECTORS.get("mlp")(4, 6)
    assert isinstance(projector, MLPProjector) and projector.num_tokens((3, 5)) == 15
    x = torch.randn(2, 15, 4)
    first, last = projector.layers[0], projector.layers[2]
    hidden = x @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(projector([x]), hidden @ last.weight.T + last.bias)
