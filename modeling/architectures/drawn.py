"""Weights of the published format, drawn by their names: for training from scratch, and trials."""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np
import torch

from collavo.modeling.architectures.published import Shape


def draw_tensor(name: str, shape: Shape, seed: int = 0) -> torch.Tensor:
    """Draws one tensor in float32: norms are one, biases zero, the rest normal.

    Matrices have the standard deviation 1 / sqrt(inputs), so that activations keep their size and
    the likeliest token stands clear of the next. B of the crayon branch is small but not zero, so
    that the Crayon Prompt has an effect.
    """
    if name.endswith(".bias"):
        return torch.zeros(shape)
    if len(shape) == 1 and "class_embedding" not in name:
        return torch.ones(shape)
    if name.endswith("Plora_B.weight") or name.endswith("Plora_seg_B.weight"):
        scale = 0.1
    elif "embed" in name and "patch_embedding" not in name:
        scale = 0.5
    else:
        scale = prod(shape[1:]) ** -0.5
    key = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    draw = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32) * np.float32(scale))
