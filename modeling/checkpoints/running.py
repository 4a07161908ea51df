"""Statistics that trained modules keep in buffers, such as a batch norm's running means."""

from __future__ import annotations

from torch import Tensor, nn


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Returns the persistent buffers of modules that have trained parameters, by their names.

    Training changes them without a gradient; a checkpoint without them is another model.
    """
    return {
        f"{path}.{name}" if path else name: buffer
        for path, module in model.named_modules()
        if any(p.requires_grad for p in module.parameters(recurse=False))
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    }
