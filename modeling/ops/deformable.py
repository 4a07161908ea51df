"""Deformable attention as weighted gathers (Zhu et al., 2020, arXiv 2010.04159).

The plain way samples each level with `grid_sample`, stacks all samples and sums them: it moves some
40 times the memory of its result. Here every sample is four rows of a table with four weights, and
`embedding_bag` sums the rows of a query at once. Borders of zeros around each level make tests of
bounds needless. Results agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

_BORDER = 3
"""Rows and columns of zeros that a level gets: one before, two after."""


class GatherDeformableAttention(nn.Module):
    """Takes the place of a deformable attention module and shares its weights.

    Args:
        module: Has the linears `sampling_offsets`, `attention_weights`, `value_proj`,
            `output_proj` and the numbers `n_heads`, `n_levels`, `n_points`.
    """

    offset_weight: Tensor
    offset_bias: Tensor

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.heads: int = module.n_heads
        self.levels: int = module.n_levels
        self.points: int = module.n_points
        self.attention_weights = module.attention_weights
        self.value_proj, self.output_proj = module.value_proj, module.output_proj
        offsets = module.sampling_offsets
        samples = self.heads * self.levels * self.points
        # All x offsets first, then all y offsets, where the module has them in pairs.
        order = torch.arange(2 * samples).view(samples, 2).T.flatten()
        self.register_buffer("offset_weight", offsets.weight.detach()[order], persistent=False)
        self.register_buffer("offset_bias", offsets.bias.detach()[order], persistent=False)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch queries width"],
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Float[Tensor, "batch cells width"] | None = None,
        position_embeddings: Float[Tensor, "batch queries width"] | None = None,
        reference_points: Float[Tensor, "batch queries levels 2"] | None = None,
        spatial_shapes_list: Sequence[tuple[int, int]] = (),
        **unused: Any,
    ) -> tuple[Float[Tensor, "batch queries width"], Tensor]:
        """Attends; the arguments are those of the module that this one replaces."""
        assert encoder_hidden_states is not None and reference_points is not None
        if position_embeddings is not None:
            hidden_states = hidden_states + position_embeddings
        batch, queries, _ = hidden_states.shape
        shape = (batch, queries, self.heads, self.levels, self.points)
        value = self.value_proj(encoder_hidden_states)
        if attention_mask is not None:
            value = value.masked_fill(attention_mask[..., None], 0.0)
        weights = self.attention_weights(hidden_states).view(batch, queries, self.heads, -1)
        weights = weights.sub_(weights.amax(-1, keepdim=True)).exp_()
        weights = weights.div_(weights.sum(-1, keepdim=True)).view(shape)
        offsets = F.linear(hidden_states, self.offset_weight, self.offset_bias)
        x, y = (part.view(shape) for part in offsets.chunk(2, -1))
        shapes = tuple((int(h), int(w)) for h, w in spatial_shapes_list)
        sizes = torch.tensor(shapes, dtype=x.dtype)
        centres = reference_points[:, :, None, :, None]
        output = gather_samples(
            value.view(batch, -1, self.heads, value.shape[-1] // self.heads),
            shapes,
            x + (centres[..., 0] * sizes[:, 1:] - 0.5),
            y + (centres[..., 1] * sizes[:, :1] - 0.5),
            weights,
        )
        return self.output_proj(output), weights


def gather_samples(
    value: Float[Tensor, "batch cells heads width"],
    shapes: tuple[tuple[int, int], ...],
    x: Float[Tensor, "batch queries heads levels points"],
    y: Float[Tensor, "batch queries heads levels points"],
    weights: Float[Tensor, "batch queries heads levels points"],
) -> Float[Tensor, "batch queries heads_width"]:
    """Sums bilinear samples of all levels, each with its weight; outside of a level all is zero.

    Args:
        value: The levels' cells, level after level, row by row.
        shapes: (h, w) of each level.
        x: Column of each sample in cells, 0 at the first cell's centre.
        y: Row of each sample in cells.
        weights: Weight of each sample.
    """
    batch, queries, heads, _, points = x.shape
    table = _bordered(value, shapes)
    last, first, stride = _constants(shapes, heads, batch)
    x = torch.minimum(x, last[:, 1:]).clamp_(min=-1)
    y = torch.minimum(y, last[:, :1]).clamp_(min=-1)
    left, top = x.floor(), y.floor()
    right_share, low_share = x.sub_(left), y.sub_(top)
    low = low_share.mul_(weights)
    high = weights - low
    high_right, low_right = high * right_share, low * right_share
    shares = (high.sub_(high_right), high_right, low.sub_(low_right), low_right)
    index = top.mul_(stride).add_(left, alpha=heads).add_(first).to(torch.int32)
    index = index.view(-1, index.shape[3] * points)
    # The four neighbours of a sample lie at the same distances everywhere: one index serves all.
    summed = None
    for start, share in zip((0, heads, stride, stride + heads), shares, strict=True):
        part = F.embedding_bag(
            index, table[start:], per_sample_weights=share.view(index.shape), mode="sum"
        )
        summed = part if summed is None else summed.add_(part)
    assert summed is not None, "there are four"
    return summed.view(batch, queries, -1)


def _bordered(value: Tensor, shapes: Sequence[tuple[int, int]]) -> Float[Tensor, "rows width"]:
    """Copies the levels below one another into a table, with zeros around each.

    Rows are ordered by image, level, row of the level, column and head; all levels have the width
    of the widest one. As many rows as the last sample may reach are there.
    """
    batch, _, heads, width = value.shape
    wide, sizes = _extents(shapes)
    rows = sum(sizes)
    table = value.new_zeros(batch * rows + wide + 1, heads, width)
    images = table[: batch * rows].view(batch, rows, heads, width)
    levels = value.split([h * w for h, w in shapes], 1)
    for (height, columns), part, level in zip(shapes, images.split(sizes, 1), levels, strict=True):
        inner = part.unflatten(1, (height + _BORDER, wide))
        inner[:, 1 : height + 1, 1 : columns + 1] = level.unflatten(1, (height, columns))
    return table.view(-1, width)


def _extents(shapes: Sequence[tuple[int, int]]) -> tuple[int, list[int]]:
    """The width of all levels with their border, and the cells of each."""
    wide = max(w for _, w in shapes) + _BORDER
    return wide, [(h + _BORDER) * wide for h, _ in shapes]


@lru_cache(maxsize=8)
def _constants(
    shapes: tuple[tuple[int, int], ...], heads: int, batch: int
) -> tuple[Tensor, Tensor, int]:
    """The farthest position (h, w) a level, each sample's first row in the table, rows a line."""
    wide, sizes = _extents(shapes)
    starts = torch.tensor([sum(sizes[:level]) + wide + 1 for level in range(len(sizes))])
    images = torch.arange(batch)[:, None, None, None, None] * sum(sizes)
    first = (images + starts[:, None]) * heads + torch.arange(heads)[:, None, None]
    return torch.tensor(shapes, dtype=torch.float32), first.float(), wide * heads
