"""How a weight read from a checkpoint becomes a module in its place, possibly quantised."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Place(Protocol):
    """Puts one base linear of the LLM into its place, called once for each while loading.

    A quantiser implements this; then the full-precision weight lives only during the call.
    """

    def __call__(self, name: str, linear: nn.Linear, weight: Tensor) -> nn.Module:
        """Returns the module that computes with `weight` from now on.

        Args:
            name: The linear's name in the LLM, "model.layers.0.self_attn.q_proj".
            linear: The linear on the meta device: its shape and bias are the ones to keep.
            weight: (out, in) in the file's dtype, on the CPU; contiguous and owned by the caller
                no longer.
        """
        ...


def place_tensor(tensor: Tensor, dtype: torch.dtype, device: torch.device | str) -> nn.Parameter:
    """Returns a frozen parameter with a copy of `tensor` in `dtype` on `device`."""
    placed = torch.empty(tensor.shape, dtype=dtype, device=device)
    placed.copy_(tensor)
    return nn.Parameter(placed, requires_grad=False)


class PlainPlace:
    """Keeps a linear as it is, in the run's dtype and on its device.

    Args:
        dtype: The dtype to compute in.
        device: Where the weights go.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device | str) -> None:
        self.dtype = dtype
        self.device = device

    def __call__(self, name: str, linear: nn.Linear, weight: Tensor) -> nn.Module:
        linear.weight = place_tensor(weight, self.dtype, self.device)
        return linear
