"""PLoRA: low-rank terms on image tokens alone, with CoLLaVO's crayon branch.

PLoRA is of InternLM-XComposer2 (Dong et al., 2024, arXiv 2401.16420, section 3.2); the crayon
branch of CoLLaVO (Lee et al., 2024, arXiv 2402.11248). Source for the sums: CoLLaVO commit
fb419fa, build_mlp.py; `B` starts at zero here, where the original's reset never ran.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collavo.modeling.adapters.image_terms import add_image_terms
from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState

if TYPE_CHECKING:
    from jaxtyping import Float


class PLoRADown(nn.Module):
    """The down projections A, shared by the linears that are one in the checkpoint (q, k, v).

    Dropout is for weights that are being trained: a frozen A drops nothing, as the frozen vision
    encoder does not; and then the crayon's branch is computed on its few distinct pairs.

    Args:
        width: Input features of the linears.
        rank: Rows of A.
        crayon: Whether there is a crayon branch.
        dropout: Probability in training, while A is trained.
    """

    def __init__(self, width: int, rank: int, crayon: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.image = nn.Linear(width, rank, bias=False)
        self.crayon = nn.Linear(width, rank, bias=False) if crayon else None
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws A as LoRA does (Kaiming uniform with a = sqrt(5))."""
        for linear in (self.image, self.crayon):
            if linear is not None:
                nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))

    def image_low(
        self, injection: Injection, source: Tensor, image: Float[Tensor, "*tokens width"]
    ) -> Float[Tensor, "*tokens rank"]:
        """Returns A x for the image tokens of `source`, computed once for all that share A."""
        # q, k and v share A and are called one after the other on the same tensor; `is`, since
        # equal values may belong to other layers
        if injection.memo:
            owner, held, low = injection.memo[0]
            if owner is self and held is source:
                return low
        # dropout on x before A, as in LoRA; the memo keeps one mask for q, k and v
        low = self.image(self.dropout(image) if self.image.weight.requires_grad else image)
        injection.memo[:] = [(self, source, low)]
        return low

    @property
    def drops_crayon(self) -> bool:
        """Whether dropout makes the crayon differ from token to token."""
        trained = self.crayon is not None and self.crayon.weight.requires_grad
        return self.training and self.dropout.p > 0 and trained

    def crayon_low(self, term: CrayonTerm) -> tuple[Float[Tensor, "*rows rank"], Tensor | None]:
        """Returns A s of the crayon, on distinct pairs with the index to gather by.

        Under dropout it is computed for each token by itself, and the index is None.
        """
        assert self.crayon is not None, "only called where there is a crayon branch"
        if self.drops_crayon:
            return self.crayon(self.dropout(term.features[term.index])), None
        return self.crayon(term.features), term.index


class PLoRALinear(nn.Module):
    """A linear `base` that adds `B A x + B' A' crayon` on image tokens, and only there.

    `base` may be any module that maps (..., in) to (..., out): `nn.Linear`, bitsandbytes'
    `Linear4bit`, PEFT's LoRA linear. With no injection active it is exactly `base(x)`.

    Args:
        base: The linear on every token.
        down: A and A', perhaps shared.
        state: Says where the image tokens are.
        scale: alpha / rank.
        owner: Whether this linear's state dict holds `down`; one of those that share it does.
    """

    merged: Tensor | None

    def __init__(
        self,
        base: nn.Linear,
        down: PLoRADown,
        state: InjectionState,
        scale: float = 1.0,
        owner: bool = True,
    ) -> None:
        super().__init__()
        self.base: nn.Module = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.up = nn.Linear(down.image.out_features, base.out_features, bias=False)
        self.crayon_up = None
        if down.crayon is not None:
            self.crayon_up = nn.Linear(down.crayon.out_features, base.out_features, bias=False)
        if owner:
            self.down = down
        self._shared = (down,)  # in a tuple, so that it is no submodule of those who borrow it
        self.state = state
        self.scale = scale
        self.register_buffer("merged", None, persistent=False)
        self._merged_of: tuple[int, ...] = ()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets both B to zero, so that the linear starts as its base."""
        for linear in (self.up, self.crayon_up):
            if linear is not None:
                nn.init.zeros_(linear.weight)

    @property
    def shared_down(self) -> PLoRADown:
        """A and A', whoever holds them."""
        return self._shared[0]

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length out"]:
        injection = self.state.active
        if injection is None:
            return self.base(x)
        base = self.base
        if injection.span is None:
            return self._scattered(x, injection)
        plain = self.mergeable and not self.training and not torch.is_grad_enabled()
        if plain and isinstance(base, nn.Linear) and _one_dtype(x, base.weight):
            return self._in_place(x, injection, injection.span, base.weight)
        return self._sliced(x, injection, injection.span)

    @property
    def mergeable(self) -> bool:
        """Whether `base` is a plain linear, neither quantised nor adapted."""
        return type(self.base) is nn.Linear and self.base.bias is None

    @torch.no_grad()
    def merge(self) -> None:
        """Makes `W + scale B A` for the image tokens, which then cost no more than text tokens.

        For inference with a full-precision base; it takes the memory of one more `W`.
        """
        if not self.mergeable or not isinstance(self.base, nn.Linear):
            raise TypeError(f"a {type(self.base).__name__} cannot be merged for image tokens")
        # in float32: the sum of a bfloat16 weight and a small product would lose the product
        delta = self.up.weight.float() @ self.shared_down.image.weight.float()
        weight = self.base.weight
        self.merged = (weight.float() + self.scale * delta).to(weight.dtype)
        self._merged_of = self._versions()

    def train(self, mode: bool = True) -> PLoRALinear:
        """Drops the merged weight when training begins."""
        if mode:
            self.merged = None
        return super().train(mode)

    def _versions(self) -> tuple[int, ...]:
        """Counts the writes to the weights that are merged, so that a stale merge is noticed."""
        weights = (self.base.weight, self.shared_down.image.weight, self.up.weight)
        return tuple(w._version for w in weights if isinstance(w, Tensor) and not w.is_inference())

    def _delta(self, injection: Injection, source: Tensor, image: Tensor) -> Tensor:
        """What is added to `base` on the image tokens."""
        down = self.shared_down
        delta = self.up(down.image_low(injection, source, image)) * self.scale
        if injection.crayon is not None and self.crayon_up is not None:
            # (pairs, rank): some tens of pairs instead of 1,225 cells an image
            low, index = down.crayon_low(injection.crayon)
            table = self.crayon_up(low) * self.scale
            delta = delta + (table if index is None else F.embedding(index, table))
        return delta

    def _sliced(self, x: Tensor, injection: Injection, span: tuple[int, int]) -> Tensor:
        """One span for all rows, for any base, differentiable."""
        start, end = span
        y = self.base(x)
        term = injection.crayon if self.crayon_up is not None else None
        if torch.is_grad_enabled() and not is_parted(self.up) and not self._drops(term):
            low = self.shared_down.image_low(injection, x, x[:, start:end])
            table = index = None
            if term is not None and self.crayon_up is not None:
                crayon_low, index = self.shared_down.crayon_low(term)
                table = self.crayon_up(crayon_low)
            return add_image_terms(y, span, low, self.up.weight, self.scale, table, index)
        delta = self._delta(injection, x, x[:, start:end])
        if torch.is_grad_enabled():
            # out of place, since the base's backward may need its output
            return torch.cat([y[:, :start], y[:, start:end] + delta, y[:, end:]], dim=1)
        y[:, start:end] += delta
        return y

    def _drops(self, term: CrayonTerm | None) -> bool:
        """Whether the crayon is computed for each token by itself."""
        return term is not None and self.shared_down.drops_crayon

    def _scattered(self, x: Tensor, injection: Injection) -> Tensor:
        """Image tokens anywhere, by their flat positions."""
        assert injection.rows is not None, "an injection has a span or rows"
        y = self.base(x)
        image = x.flatten(0, 1).index_select(0, injection.rows)
        # under autocast the base may answer in another dtype than the low rank
        delta = self._delta(injection, x, image).to(y.dtype)
        return y.flatten(0, 1).index_add(0, injection.rows, delta).view_as(y)

    def _in_place(
        self, x: Tensor, injection: Injection, span: tuple[int, int], weight: Tensor
    ) -> Tensor:
        """Inference: every product is accumulated straight into the result's memory."""
        start, end = span
        y = x.new_empty(*x.shape[:2], self.out_features)
        low, table, index = None, None, None
        if self.merged is not None and self._merged_of != self._versions():
            self.merged = None
        if self.merged is None:
            low = self.shared_down.image_low(injection, x, x[:, start:end])
        if injection.crayon is not None and self.crayon_up is not None:
            crayon_low, index = self.shared_down.crayon_low(injection.crayon)
            table = self.crayon_up(crayon_low).mul_(self.scale)
        image_weight = (weight if self.merged is None else self.merged).t()
        for row in range(x.shape[0]):
            # text tokens see the base alone, before and after the image
            for text in (slice(0, start), slice(end, None)):
                torch.mm(x[row, text], weight.t(), out=y[row, text])
            image = y[row, start:end]
            if table is None:
                torch.mm(x[row, start:end], image_weight, out=image)
            else:
                assert index is not None, "dropout is off without gradients"
                # the crayon first, then += W x and += B A x: no temporary of the result's size
                torch.index_select(table, 0, index[row], out=image)
                image.addmm_(x[row, start:end], image_weight)
            if low is not None:
                image.addmm_(low[row], self.up.weight.t(), alpha=self.scale)
        return y


def is_parted(linear: nn.Module) -> bool:
    """Whether ZeRO-3 parts the weight: it gathers it where the module is called as such.

    All processes have to call modules in one order. Reading `linear.weight` would gather it too.
    """
    return hasattr(linear._parameters.get("weight"), "ds_id")


def _one_dtype(x: Tensor, weight: Tensor) -> bool:
    """Whether a product needs no cast, neither of its own nor by autocast."""
    return x.dtype == weight.dtype and not torch.is_autocast_enabled(x.device.type)
