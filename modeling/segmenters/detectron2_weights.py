"""Reads detectron2's weight files without running anything that they may hold."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from collavo.errors import CheckpointError

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
"""All that the model zoo's pickles of arrays name."""


class _ArraysOnly(pickle.Unpickler):
    """Unpickles plain containers and numpy arrays, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        module = module.replace("numpy.core.", "numpy._core.")  # of numpy 1
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Reads a state dict from .safetensors, or arrays alone from .pkl and .pth.

    Raises:
        CheckpointError: The file is damaged, of another format, or holds more than arrays.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".pkl":
            with path.open("rb") as stream:
                content = _ArraysOnly(stream, encoding="latin1").load()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as weights: {error}. Pickles may hold arrays only, since they "
            "can run code; the safe way is *.safetensors"
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(value, (np.ndarray, torch.Tensor)) for value in state.values()
    ):
        raise CheckpointError(f"{path} holds no state dict of arrays")
    return {name: torch.as_tensor(value) for name, value in state.items()}
