"""How one stored tensor maps on the parameters of a module, there and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TensorRule:
    """One tensor of a checkpoint.

    Args:
        targets: The parameters that it fills; none for a tensor that is kept but not used.
        split: Cuts the tensor into the targets' parts, in order; None where there is one target.
        join: Undoes `split`.
    """

    targets: tuple[str, ...] = ()
    split: Callable[[Tensor], Sequence[Tensor]] | None = None
    join: Callable[[Sequence[Tensor]], Tensor] | None = None

    def parts(self, tensor: Tensor) -> Sequence[Tensor]:
        """Returns one tensor for each target."""
        return (tensor,) if self.split is None else self.split(tensor)

    def whole(self, parts: Sequence[Tensor]) -> Tensor:
        """Returns the stored tensor that the targets' values make."""
        return parts[0] if self.join is None else self.join(parts)
