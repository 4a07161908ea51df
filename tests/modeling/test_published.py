"""The published format's tensors, against the published sums and the golden checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from safetensors import safe_open

from collavo.errors import CheckpointError
from collavo.modeling.architectures.published import DEAD_SEG, published_shapes

PUBLISHED = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 92544,
}


def test_the_published_checkpoint_adds_up() -> None:
    shapes = published_shapes(PUBLISHED)
    assert len(shapes) == 1268
    assert sum(prod(shape) for shape in shapes.values()) == 9_291_962_368
    dead = sum(prod(shape) for name, shape in shapes.items() if DEAD_SEG in name)
    assert dead == 32 * 256 * (14336 + 4096)
    assert shapes["vit.vision_tower.vision_model.embeddings.position_embedding.weight"][0] == 1226


def test_the_golden_checkpoint_has_these_tensors(golden: Path) -> None:
    folder = golden / "collavo_a"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    assert found == published_shapes(config, rank=16)


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from collavo.modeling.architectures.memory import weight_bytes\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_field_that_lacks_is_named() -> None:
    config = {k: v for k, v in PUBLISHED.items() if k != "vocab_size"}
    with pytest.raises(CheckpointError, match="lacks 'vocab_size'"):
        published_shapes(config)
