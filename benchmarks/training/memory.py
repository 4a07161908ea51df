"""Counts the bytes of all tensors that are alive, operation by operation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Within it, `now` is the size of the storages alive and `peak` the largest it has been.

    Storages count once however many tensors view them. What an operation takes and gives back
    within itself is not seen. It works on the meta device as well.

    Args:
        before: Tensors that are there already: weights, the optimiser's state.
    """

    def __init__(self, before: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()
        for tensor in before:
            self._see(tensor)
        self.start = self.peak = self.now

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        self.peak = max(self.peak, self.now)
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self.now += size
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def tensors_of(parameters: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Lists what a training holds between its steps: weights, quantiser state, moments."""
    held: list[Tensor] = []
    for parameter in parameters:
        held.append(parameter)
        state = getattr(parameter, "quant_state", None)
        while state is not None:
            held += [t for t in vars(state).values() if isinstance(t, Tensor)]
            state = getattr(state, "state2", None)
    for state in optimizer.state.values():
        held += [t for t in state.values() if isinstance(t, Tensor)]
    return held
