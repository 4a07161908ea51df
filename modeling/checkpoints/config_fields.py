"""Checks the fields of a checkpoint's config.json: type and size, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from collavo.errors import CheckpointError

Check = Callable[[Any], str]
"""Says what a value should be, "" where it is that."""


def whole(low: int, high: int, none: bool = False) -> Check:
    """A whole number from `low` to `high`; null is allowed with `none`."""

    def check(value: Any) -> str:
        number = isinstance(value, int) and not isinstance(value, bool)
        good = (none and value is None) or (number and low <= value <= high)
        return "" if good else f"a whole number from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    """A finite number above `low`, up to `high`."""

    def check(value: Any) -> str:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and math.isfinite(value) and low < value <= high
        return "" if good else f"a number above {low:g}, up to {high:g}"

    return check


def mapping(none: bool = False) -> Check:
    """An object; null is allowed with `none`."""

    def check(value: Any) -> str:
        return "" if isinstance(value, Mapping) or (none and value is None) else "an object"

    return check


def flag(value: Any) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "true or false"


def token_ids(value: Any) -> str:
    """A token id, or a list of them."""
    listed = value if isinstance(value, list) and value else [value]
    return "" if not any(whole(0, 1 << 24)(item) for item in listed) else "a token id"


def activation(value: Any) -> str:
    """The name of an activation that transformers knows."""
    from transformers.activations import ACT2FN

    known = isinstance(value, str) and value in ACT2FN
    return "" if known else f"an activation ({', '.join(list(ACT2FN)[:6])}, ...)"


LLM: Mapping[str, Check] = {
    "hidden_size": whole(1, 1 << 17),
    "intermediate_size": whole(1, 1 << 20),
    "num_hidden_layers": whole(1, 1024),
    "num_attention_heads": whole(1, 4096),
    "num_key_value_heads": whole(1, 4096, none=True),
    "vocab_size": whole(1, 1 << 24),
    "max_position_embeddings": whole(1, 1 << 24),
    "rms_norm_eps": number(0, 1),
    "rope_theta": number(0, 1e12),
    "rope_scaling": mapping(none=True),
    "initializer_range": number(0, 100),
    "hidden_act": activation,
    "bias": flag,
    "pad_token_id": whole(0, 1 << 24, none=True),
    "bos_token_id": whole(0, 1 << 24, none=True),
    "eos_token_id": token_ids,
    "img_size": whole(1, 1 << 14),
    "vision_config": mapping(none=True),
    "collavo": mapping(none=True),
}
"""Of an InternLM2 config; the limits lie far beyond any model's, below what breaks a machine."""

VISION: Mapping[str, Check] = {
    "hidden_size": whole(1, 1 << 16),
    "intermediate_size": whole(1, 1 << 18),
    "num_hidden_layers": whole(1, 512),
    "num_attention_heads": whole(1, 1024),
    "hidden_act": activation,
    "image_size": whole(1, 1 << 14),
    "patch_size": whole(1, 1 << 10),
    "layer_norm_eps": number(0, 1),
}
"""Of a CLIP tower's config."""


def check_fields(fields: Mapping[str, Any], checks: Mapping[str, Check], place: str) -> None:
    """Checks the fields that are there; which have to be there, the reader says.

    Raises:
        CheckpointError: A value is of another type or size; the message names field and value.
    """
    for name, check in checks.items():
        if name in fields and (wanted := check(fields[name])):
            raise CheckpointError(f"{place}: {name} is {fields[name]!r:.60}; it has to be {wanted}")


def check_published(fields: Mapping[str, Any], place: str) -> None:
    """Checks the config of a checkpoint in CoLLaVO's published format.

    Raises:
        CheckpointError: A field is of another type or size, or sizes do not fit each other.
    """
    check_fields(fields, LLM, place)
    vision = fields.get("vision_config") or {}
    check_fields(vision, VISION, f"{place}, vision_config")
    for whole_name, part_name, values in (
        ("hidden_size", "num_attention_heads", fields),
        ("num_attention_heads", "num_key_value_heads", fields),
        ("hidden_size", "num_attention_heads", vision),
    ):
        size, parts = values.get(whole_name), values.get(part_name)
        if size and parts and size % parts:
            raise CheckpointError(
                f"{place}: {whole_name} {size} cannot be divided by {part_name} {parts}"
            )
