"""Gathered deformable attention against transformers' sampling of a grid."""

from __future__ import annotations

import pytest
import torch
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention as Attention,
)

from collavo.modeling.ops.deformable import GatherDeformableAttention


@pytest.mark.parametrize("spread", [0.5, 4.0, 40.0])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shapes", [[(3, 4), (6, 8), (12, 16)], [(7, 2), (1, 1), (5, 9)]])
def test_as_the_plain_way(shapes, batch, spread):
    """Also for samples on borders, far outside, and with uneven levels."""
    torch.manual_seed(0)
    module = Attention(32, 4, 3, 4).eval()
    torch.nn.init.normal_(module.sampling_offsets.bias, std=spread)
    torch.nn.init.normal_(module.attention_weights.weight, std=0.5)
    cells = sum(h * w for h, w in shapes)
    hidden = torch.randn(batch, cells, 32)
    mask = torch.zeros(batch, cells, dtype=torch.bool)
    mask[:, ::11] = True
    arguments = {
        "hidden_states": hidden,
        "attention_mask": mask,
        "encoder_hidden_states": hidden,
        "position_embeddings": torch.randn(batch, cells, 32),
        "reference_points": torch.rand(batch, cells, 3, 2) * 1.2 - 0.1,
        "spatial_shapes_list": shapes,
    }
    with torch.inference_mode():
        wanted = module(**arguments)
        made = GatherDeformableAttention(module)(**arguments)
    assert wanted[0].abs().max() > 0.1
    assert torch.allclose(made[0], wanted[0], atol=2e-5)
    assert torch.allclose(made[1], wanted[1], atol=1e-6)


def test_samples_at_cell_centres_are_the_cells():
    torch.manual_seed(0)
    module = Attention(8, 1, 1, 1).eval()
    for linear in (module.sampling_offsets, module.attention_weights):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    for linear in (module.value_proj, module.output_proj):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    hidden = torch.randn(1, 6, 8)
    centres = torch.tensor([[(x + 0.5) / 3, (y + 0.5) / 2] for y in range(2) for x in range(3)])
    with torch.inference_mode():
        made, _ = GatherDeformableAttention(module)(
            hidden_states=hidden,
            encoder_hidden_states=hidden,
            reference_points=centres[None, :, None],
            spatial_shapes_list=[(2, 3)],
        )
    assert torch.allclose(made, hidden, atol=1e-6)
