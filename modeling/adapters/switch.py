"""Whose turn it is to be trained, among the adapters of a model that take turns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Turn:
    """Whose turn it is to be trained; one object that all linears with adapters share.

    Args:
        names: All adapters of the model.
        trained: The one that is trained, `ALL`, or None.
    """

    names: tuple[str, ...]
    trained: str | None = None


ALL = "*"
"""What `Turn.trained` is while all adapters are trained."""


class AdapterSwitch:
    """Chooses which adapter of a model is trained; a handle on what its linears share.

    Args:
        llm: A model with adapters, or one that holds such a model.

    Raises:
        ValueError: It has no adapters.
    """

    def __init__(self, llm: nn.Module) -> None:
        turn = turn_of(llm)
        if turn is None:
            raise ValueError(f"{type(llm).__name__} has no adapters to choose among")
        self._turn = turn

    @property
    def names(self) -> tuple[str, ...]:
        """All adapters of the model."""
        return self._turn.names

    @property
    def trained(self) -> str | None:
        """The adapter that is trained, or `ALL`; at first a single one is, of several none."""
        return self._turn.trained

    def train_all(self) -> None:
        """Trains all adapters from now on, as one adapter of their ranks together."""
        self._turn.trained = ALL

    def train_only(self, name: str | None) -> None:
        """Trains `name` from now on and no other adapter; None trains none of them.

        It must not change between a forward pass and its backward pass.

        Raises:
            ValueError: There is no adapter of that name.
        """
        if name is not None and name not in self.names:
            raise ValueError(
                f"there is no adapter {name!r} to train; the model has {', '.join(self.names)}"
            )
        self._turn.trained = name


class SwitchedLinear(nn.Linear):
    """A linear whose weight gets a gradient only while it is its adapter's turn."""

    turn: Turn | None = None
    adapter: str = ""

    @property
    def idle(self) -> bool:
        """Whether this step trains another adapter, or none."""
        return self.turn is not None and self.turn.trained not in (self.adapter, ALL)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.detach() if self.idle else self.weight)


def has_adapters(llm: nn.Module) -> bool:
    """Whether a model has adapters of ours."""
    return turn_of(llm) is not None


def switch_of(llm: nn.Module) -> AdapterSwitch | None:
    """Returns the switch of a model's adapters, None if it has none."""
    return AdapterSwitch(llm) if has_adapters(llm) else None


def turn_of(llm: nn.Module) -> Turn | None:
    """Returns what the linears with adapters of a model share, None if there are none."""
    found = next((m for m in llm.modules() if isinstance(m, SwitchedLinear)), None)
    return None if found is None else found.turn


def adapter_of(parameter: str) -> str:
    """Returns the adapter that a parameter belongs to by its name, or "" for none.

    Its optimiser group carries this as `side`.
    """
    match = re.search(r"\.lora_[AB]\.([^.]+)\.weight$", parameter)
    return match.group(1) if match else ""
