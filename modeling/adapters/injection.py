"""Which tokens of a forward pass are image tokens, and what the crayon adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class CrayonTerm:
    """The crayon of a batch on its distinct (class, number) pairs.

    Args:
        features: (P, D) projected embedding of each distinct pair.
        index: For each image token the row of its pair: (B, N) with a common span, else (M,).
    """

    features: Float[Tensor, "pairs width"]
    index: Int[Tensor, "*tokens"]


@dataclass
class Injection:
    """The image tokens of one batch of sequences.

    Exactly one of `span` and `rows` is set.

    Args:
        span: First and past-the-last position of the image, the same in each row.
        rows: (M,) positions of all image tokens in the (B * S) flattened batch, ascending.
        crayon: The crayon's term, or None.
        batch: Rows B that it was made for; a multiple of it is served by repeating each row.
        length: Positions S of a row.
    """

    span: tuple[int, int] | None = None
    rows: Int[Tensor, " tokens"] | None = None
    crayon: CrayonTerm | None = None
    batch: int = 1
    length: int = 0
    memo: list[tuple[object, Tensor, Tensor]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if (self.span is None) == (self.rows is None):
            raise ValueError("an injection needs either a span or rows")

    def repeated(self, times: int) -> Injection:
        """Returns the injection for a batch in which each row stands `times` times in a row."""
        crayon = self.crayon
        if self.span is not None:
            if crayon is not None:
                index = crayon.index.repeat_interleave(times, dim=0)
                crayon = CrayonTerm(crayon.features, index)
            return Injection(self.span, None, crayon, self.batch * times, self.length)
        assert self.rows is not None, "checked in __post_init__"
        row, column = self.rows // self.length, self.rows % self.length
        copies = torch.arange(times, device=row.device).view(-1, 1)
        moved = ((row * times + copies) * self.length + column).flatten()
        moved, order = moved.sort()
        if crayon is not None:
            crayon = CrayonTerm(crayon.features, crayon.index.repeat(times)[order])
        return Injection(None, moved, crayon, self.batch * times, self.length)

    def for_batch(self, batch: int) -> Injection:
        """Returns the injection for `batch` rows, of which each was repeated equally often."""
        if batch == self.batch:
            return self
        if batch % self.batch:
            raise ValueError(f"a batch of {batch} rows is no multiple of {self.batch}")
        return self.repeated(batch // self.batch)


class InjectionState:
    """The one object that an architecture and all its adapter linears share.

    `active` is None except during a forward pass over image tokens; then the linears are exactly
    their base.
    """

    def __init__(self) -> None:
        self.active: Injection | None = None

    @contextmanager
    def injection(self, injection: Injection | None) -> Iterator[None]:
        """Makes `injection` active within the block."""
        before, self.active = self.active, injection
        try:
            yield
        finally:
            self.active = before
            if injection is not None:
                injection.memo.clear()

    @contextmanager
    def prefill(self, body: torch.nn.Module, injection: Injection | None) -> Iterator[None]:
        """Makes `injection` active for the first forward pass of `body` in the block alone.

        So a generation loop of any kind prefills with image tokens and decodes without. Rows that
        the loop expanded for its beams are followed.
        """
        pending = [injection] if injection is not None else []

        def before(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if pending:
                inputs = kwargs.get("inputs_embeds")
                found = pending.pop()
                self.active = found.for_batch(found.batch if inputs is None else len(inputs))

        def after(*_: Any) -> None:
            self.active = None

        handles = (
            body.register_forward_pre_hook(before, with_kwargs=True),
            body.register_forward_hook(after, always_call=True),
        )
        try:
            yield
        finally:
            self.active = None
            for handle in handles:
                handle.remove()

    def checkpoint_layers(self, llm: Any) -> None:
        """Turns on gradient checkpointing; recomputation sees the forward pass's injection.

        Args:
            llm: A model of transformers.
        """
        enable = getattr(llm, "activation_checkpointing_enable", None)
        enable = enable or llm.gradient_checkpointing_enable  # its name before transformers 5.2x
        enable({"use_reentrant": False, "context_fn": self._checkpoint_contexts})

    def _checkpoint_contexts(
        self,
    ) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self.injection(self.active)
