"""A model as a stage leaves it, and what it computes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from collavo.modeling.adapters.dual_lora import adapted_linears, add_adapters, switched_linears
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.records import CrayonPrompt

VL = "adapters/vl/adapter_model.safetensors"


def load(folder: Path, bits: int = 16, dtype: str = "fp32", merge: str = "off") -> CoLLaVO:
    return CoLLaVO.from_pretrained(folder, bits=bits, dtype=dtype, device="cpu", merge=merge)


def trained(folder: Path, bits: int = 16, targets: str = "all") -> CoLLaVO:
    """A model as a stage leaves it: adapters, crayon tables and projector have moved."""
    model = load(folder, bits)
    add_adapters(model.llm, rank=4, alpha=8, dropout=0.05, targets=targets)
    torch.manual_seed(5)
    for _, layer in adapted_linears(model.llm):
        for linear in switched_linears(layer):
            nn.init.normal_(linear.weight, std=0.05)
    for part in (model.crayon, model.crayon_projector):
        for p in part.parameters():
            p.requires_grad_(True)
            p.data += 0.01 * torch.randn_like(p)
    return model.eval()


def inputs(model: CoLLaVO) -> tuple[torch.Tensor, torch.Tensor, CrayonPrompt]:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        0, 256, (1, 3, model.image_size, model.image_size), dtype=torch.uint8, generator=draw
    )
    cells = torch.randint(0, 9, (2, 1, *model.grid), generator=draw)
    ids = model.tokenize(model.render("Is there a dog in the image?", None))
    return torch.tensor([ids]), model.squares(pixels), CrayonPrompt(cells[0], cells[1], [None])


@torch.no_grad()
def logits(model: CoLLaVO) -> torch.Tensor:
    return model(*inputs(model)).logits
