"""The random number generators of a process, kept in a checkpoint without pickles."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def write_random(folder: Path, rank: int) -> None:
    """Writes the state of Python's, numpy's and torch's generators of this process."""
    version, words, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
    }
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    plain = {"python": [version, gauss], "numpy": [str(name), *rest]}
    save_file(tensors, folder / f"random-{rank}.safetensors", {"plain": json.dumps(plain)})


def read_random(folder: Path, rank: int) -> bool:
    """Puts the generators back; False where the process had none when it was saved."""
    file = folder / f"random-{rank}.safetensors"
    if not file.is_file():
        return False
    tensors = load_file(file)
    plain: dict[str, Any] = json.loads(_metadata(file)["plain"])
    version, gauss = plain["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, position, has_gauss, cached = plain["numpy"]
    keys = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    return True


def _metadata(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return opened.metadata()
