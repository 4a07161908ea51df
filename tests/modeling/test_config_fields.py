"""A checkpoint's config is checked before anything is built of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collavo.errors import CheckpointError
from collavo.modeling.checkpoints.config_fields import LLM, VISION, check_fields, check_published
from tests.modeling.published_checkpoint import load, tensors, write

ODD: tuple[Any, ...] = (
    *("x", "", [], {}, None, True, -1, 0, 1.5, 10**30, float("nan"), float("inf"), [[1]]),
)


@pytest.mark.parametrize("name", LLM)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_field_is_used_or_refused(tmp_path: Path, name: str, value: Any) -> None:
    """Nothing but a CheckpointError that names the field, or a model."""
    if not LLM[name](value):
        check_fields({name: value}, LLM, "config.json")
        return
    with pytest.raises(CheckpointError, match=f"here: {name} is .*it has to be"):
        check_fields({name: value}, LLM, "here")


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**12},
        {"hidden_size": "24"},
        {"num_attention_heads": 5},
        {"num_key_value_heads": 3},
        {"hidden_act": "no such"},
        {"rms_norm_eps": 0},
        {"eos_token_id": ["x"]},
        {"vision_config": []},
        {"vision_config": {"patch_size": 0}},
        {"vision_config": {"hidden_size": 10, "num_attention_heads": 3}},
    ],
    ids=lambda change: ", ".join(change),
)
def test_a_changed_config_is_refused_before_it_costs_anything(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = write(tmp_path, tensors())
    file = folder / "config.json"
    fields = json.loads(file.read_text())
    if isinstance(change.get("vision_config"), dict):
        change = {"vision_config": {**fields.get("vision_config", {}), **change["vision_config"]}}
    file.write_text(json.dumps({**fields, **change}))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load(folder)


def test_whole_configs_pass() -> None:
    check_published({"hidden_size": 8, "num_attention_heads": 2, "vision_config": None}, "here")
    assert set(VISION) > {"hidden_size", "patch_size"}
