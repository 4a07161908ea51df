"""The low-rank terms of several LoRA adapters on one linear, as one product with its gradient.

LoRA is of Hu et al. (2021), arXiv 2106.09685, section 4.1: `y = W x + s B A x`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from jaxtyping import Float

Pair = tuple[Tensor, Tensor]
"""A (rank, in) and B (out, rank) of one adapter."""


def add_low_rank(
    y: Float[Tensor, "*tokens out"],
    x: Float[Tensor, "*tokens in"],
    pairs: Sequence[Pair],
    scales: Sequence[float],
    trained: Sequence[bool],
    dropout: float = 0.0,
) -> Float[Tensor, "*tokens out"]:
    """Returns `y + sum of scale B A drop(x)`, with weight gradients of the trained pairs alone.

    All products are computed in y's dtype, which is the one that autocast chose, and all A (and all
    B) as one matrix. One dropout mask serves all the adapters of the linear.

    Args:
        y: What the base linear gave. It may be overwritten.
        x: The linear's input.
        pairs: A and B of each adapter, in any floating dtype.
        scales: alpha / rank of each.
        trained: Whether each gets weight gradients; x gets its gradient through all of them.
        dropout: Probability to drop an input feature.
    """
    if not torch.is_grad_enabled() and dropout == 0.0:
        return _without_gradient(y, x.to(y.dtype), pairs, scales)
    keep = 1.0 - dropout
    mask = None
    if dropout > 0.0:
        mask = torch.empty(x.shape, dtype=torch.bool, device=x.device).bernoulli_(keep)
    weights = [
        w if used else w.detach() for pair, used in zip(pairs, trained, strict=True) for w in pair
    ]
    # A linear's own backward needs no output, so it may be written over, unless it is a view.
    inplace = y.is_contiguous() and not y._is_view()
    out: Tensor = _LowRank.apply(
        y, x.to(y.dtype), mask, keep, tuple(scales), tuple(trained), inplace, *weights
    )
    return out


def _without_gradient(
    y: Tensor, x: Tensor, pairs: Sequence[Pair], scales: Sequence[float]
) -> Tensor:
    """Inference: each weight is read once, and the sums go straight into y's memory."""
    if not y.is_contiguous():
        y = y.contiguous()
    flat, rows = y.view(-1, y.shape[-1]), x.reshape(-1, x.shape[-1])
    for (down, up), scale in zip(pairs, scales, strict=True):
        # (tokens, in) @ (in, rank): the small side first, never B @ A
        low = rows @ down.to(x.dtype).t()
        flat.addmm_(low, up.to(x.dtype).t(), alpha=scale)
    return y


class _LowRank(torch.autograd.Function):
    """`y + x A^T B^T` over all adapters at once, B already scaled."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        x: Tensor,
        mask: Tensor | None,
        keep: float,
        scales: tuple[float, ...],
        trained: tuple[bool, ...],
        inplace: bool,
        *weights: Tensor,
    ) -> Tensor:
        downs, ups = weights[::2], weights[1::2]
        low = _dropped(x, mask).reshape(-1, x.shape[-1]) @ _stacked(downs, x.dtype).t()
        if mask is not None:
            low = low.div_(keep)
        up = _side_by_side(ups, scales, x.dtype).t()
        # y is tokens x out, the largest tensor here; a copy of it would double the activation
        out = y if inplace else y.clone(memory_format=torch.contiguous_format)
        out.view(-1, out.shape[-1]).addmm_(low, up)
        if inplace:
            ctx.mark_dirty(y)
        ctx.keep, ctx.scales, ctx.trained = keep, scales, trained
        # Only the trained adapters' low activations are needed again, and the weights themselves
        # rather than the joined copies, which are cheap to make and would have to be kept.
        ranks = [d.shape[0] for d in downs]
        kept = [part for part, used in zip(low.split(ranks, 1), trained, strict=True) if used]
        ctx.save_for_backward(x, mask, torch.cat(kept, 1) if kept else None, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mask, low, *weights = ctx.saved_tensors
        downs, ups = weights[::2], weights[1::2]
        ranks = [d.shape[0] for d in downs]
        flat = grad.reshape(-1, grad.shape[-1])
        # gradient of the low activations: (tokens, ranks)
        pulled = flat @ _side_by_side(ups, ctx.scales, flat.dtype)
        if mask is not None:
            pulled = pulled.div_(ctx.keep)
        to_x = None
        if ctx.needs_input_grad[1]:
            to_x = (pulled @ _stacked(downs, flat.dtype)).view_as(x)
            to_x = to_x if mask is None else to_x.mul_(mask)
        to_weights: list[Tensor | None] = [None] * len(weights)
        if low is not None:
            # recomputed rather than kept: the mask has one byte an entry, the product two or four
            rows = _dropped(x, mask).reshape(-1, x.shape[-1])
            lows = iter(low.split([r for r, t in zip(ranks, ctx.trained, strict=True) if t], 1))
            for i, part in enumerate(pulled.split(ranks, 1)):
                if not ctx.trained[i]:
                    continue
                own = next(lows)
                to_weights[2 * i] = (part.t() @ rows).to(downs[i].dtype)
                to_weights[2 * i + 1] = (flat.t() @ own).mul_(ctx.scales[i]).to(ups[i].dtype)
        return (grad, to_x, None, None, None, None, None, *to_weights)


def _dropped(x: Tensor, mask: Tensor | None) -> Tensor:
    """The input with dropped features at zero; the division by `keep` is left to the low rank."""
    return x if mask is None else x * mask


def _stacked(downs: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """All A, one below the other: (ranks, in)."""
    if len(downs) == 1:
        return downs[0].to(dtype)
    return torch.cat([down.to(dtype) for down in downs])


def _side_by_side(ups: Sequence[Tensor], scales: Sequence[float], dtype: torch.dtype) -> Tensor:
    """All B, each times its scale, one beside the other: (out, ranks)."""
    scaled = [
        up.to(dtype) if scale == 1.0 else up.to(dtype) * scale
        for up, scale in zip(ups, scales, strict=True)
    ]
    return scaled[0] if len(scaled) == 1 else torch.cat(scaled, 1)
