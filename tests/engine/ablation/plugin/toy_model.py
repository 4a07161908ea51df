"""The engine's fake model, whose answers hang on what the toy training has exported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from collavo.registry import ARCHITECTURES

FakeModel = ARCHITECTURES.get("fake")


@ARCHITECTURES.register("toy_model")
class ToyModel(FakeModel):
    """Answers with a hash of its inputs and of the weights."""

    @classmethod
    def from_config(cls, cfg, device):
        weights = Path(cfg.MODEL.WEIGHTS) / "model.safetensors"
        return cls(hashlib.sha256(weights.read_bytes()).hexdigest())
