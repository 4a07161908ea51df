"""The two-layer MLP projector of LLaVA-1.5 (Liu et al., 2023, arXiv 2310.03744)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from collavo.modeling.projectors.base import Projector
from collavo.registry import PROJECTORS

if TYPE_CHECKING:
    from jaxtyping import Float


@PROJECTORS.register("mlp", "mlp2x_gelu")
class MLPProjector(Projector):
    """Linear, GELU (exact), Linear: one token for each patch of the last level.

    Args:
        vision: Width C of the features.
        width: Width D of the LLM.
    """

    def __init__(self, vision: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(vision, width), nn.GELU(), nn.Linear(width, width))

    def project(self, features: Float[Tensor, "*rows vision"]) -> Float[Tensor, "*rows width"]:
        """Projects features of any leading shape."""
        projected: Tensor = self.layers(features)
        return projected

    def forward(
        self, levels: Sequence[Float[Tensor, "batch patches vision"]]
    ) -> Float[Tensor, "batch tokens width"]:
        return self.project(levels[-1])
