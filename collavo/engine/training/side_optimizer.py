"""AdamW that leaves the parameters of idle sides alone: weights, moments and step counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch

SIDE = "side"
"""Key of a parameter group that names its side; "" or none belongs to every step."""


class SideAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101) over groups that take turns.

    A group with a side is stepped only while `active_side` is its side. A gradient of None would
    keep one process from touching it; but ZeRO gives every parameter a gradient, of zeros where
    there was none, and AdamW would then move it by its momentum and its weight decay. ZeRO-1 and
    ZeRO-2 step their inner optimiser once for each group, so skipping works there as well.

    Args:
        params: Groups, each with `params` of one side alone and, where it has one, `side`.
        **options: As of `torch.optim.AdamW`.
    """

    def __init__(self, params: Iterable[dict[str, Any]], **options: Any) -> None:
        self._active_side = ""
        super().__init__(params, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1].setdefault(SIDE, "")

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that there are, in the groups' order."""
        return tuple(dict.fromkeys(g[SIDE] for g in self.param_groups if g.get(SIDE)))

    @property
    def active_side(self) -> str:
        """The side that `step` updates besides the groups without one; "" for none."""
        return self._active_side

    @active_side.setter
    def active_side(self, side: str) -> None:
        if side and side not in self.sides:
            raise ValueError(
                f"no group has the side {side!r}; there are {', '.join(self.sides) or 'none'}"
            )
        self._active_side = side

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Updates the groups of the active side and those without one.

        Args:
            closure: As of `torch.optim.AdamW`.
        """
        groups = self.param_groups
        self.param_groups = [g for g in groups if g.get(SIDE, "") in ("", self._active_side)]
        try:
            loss: float | None = super().step(closure)
            return loss
        finally:
            self.param_groups = groups
