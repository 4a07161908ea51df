"""PLoRA's and the crayon's terms, added to the image tokens of a result in its own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_CHUNK = 256
"""Tokens whose crayon is gathered at a time: a few hundred rows of memory instead of all."""


def add_image_terms(
    y: Float[Tensor, "batch length out"],
    span: tuple[int, int],
    low: Float[Tensor, "batch tokens rank"],
    up: Float[Tensor, "out rank"],
    scale: float,
    table: Float[Tensor, "pairs out"] | None = None,
    index: Int[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, "batch length out"]:
    """Returns `y` with `scale (low up^T + table[index])` added between the span's positions.

    Args:
        y: What the base linear gave; it is overwritten, unless it is a view.
        span: First and past-the-last position of the image, the same in each row.
        low: A x of the image tokens.
        up: B.
        scale: alpha / rank.
        table: B' A' of each distinct crayon pair, or None.
        index: The pair of each image token.
    """
    inplace = y.is_contiguous() and not y._is_view()
    kind = y.dtype
    cast = None if table is None else table.to(kind)
    out: Tensor = _ImageTerms.apply(y, low.to(kind), up.to(kind), cast, index, span, scale, inplace)
    return out


class _ImageTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        low: Tensor,
        up: Tensor,
        table: Tensor | None,
        index: Tensor | None,
        span: tuple[int, int],
        scale: float,
        inplace: bool,
    ) -> Tensor:
        out = y if inplace else y.clone(memory_format=torch.contiguous_format)
        start, end = span
        # row by row: a slice of one row is contiguous, and addmm_ then needs no copy
        for row in range(out.shape[0]):
            image = out[row, start:end]
            image.addmm_(low[row], up.t(), alpha=scale)
            if table is None or index is None:
                continue
            for part, pairs in zip(image.split(_CHUNK), index[row].split(_CHUNK), strict=True):
                part.add_(table.index_select(0, pairs), alpha=scale)
        if inplace:
            ctx.mark_dirty(y)
        ctx.span, ctx.scale, ctx.pairs = span, scale, 0 if table is None else len(table)
        ctx.save_for_backward(low if ctx.needs_input_grad[2] else None, up, index)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        low, up, index = ctx.saved_tensors
        start, end = ctx.span
        image = grad[:, start:end]
        to_low = to_up = to_table = None
        if ctx.needs_input_grad[1]:
            to_low = torch.matmul(image, up).mul_(ctx.scale)
        if ctx.needs_input_grad[2]:
            to_up = torch.einsum("bno,bnr->or", image, low).mul_(ctx.scale)
        if ctx.needs_input_grad[3]:
            # many tokens share a pair, so their gradients are summed into it
            to_table = grad.new_zeros(ctx.pairs, grad.shape[-1])
            for row in range(len(grad)):
                to_table.index_add_(0, index[row], image[row], alpha=ctx.scale)
        return grad, to_low, to_up, to_table, None, None, None, None
