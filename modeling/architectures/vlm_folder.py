"""The whole checkpoint of a model of parts: what its config.json says, and its LLM's own.

config.json            the parts' names, the encoder's fields, the image size
model.safetensors      every tensor by its name in the model, or shards with an index
llm/                   the LLM's config.json and tokenizer, as its family reads them
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.architectures.parts import PartNames
from collavo.modeling.checkpoints.folder import CheckpointFolder

MODEL_TYPE = "collavo_vlm"
"""What config.json of a whole checkpoint says."""

LLM_FOLDER = "llm"
"""In a whole checkpoint, the LLM's own config.json and tokenizer, as its family reads them."""


def read_stored(source: CheckpointFolder) -> Mapping[str, Any]:
    """Reads config.json of a whole checkpoint.

    Raises:
        CheckpointError: It is that of something else.
    """
    stored = source.config
    if stored.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{source.folder / 'config.json'} is of a {stored.get('model_type')!r}, not of a "
            f"{MODEL_TYPE!r}; an LLM goes to LLM.WEIGHTS, a vision encoder to VISION.WEIGHTS"
        )
    parts = stored.get("parts")
    wanted = set(PartNames.__dataclass_fields__)
    if (
        not isinstance(parts, dict)
        or set(parts) != wanted
        or not all(isinstance(name, str) for name in parts.values())
    ):
        raise CheckpointError(
            f"{source.folder / 'config.json'}: parts has to name {', '.join(sorted(wanted))}"
        )
    for name, kind in (("vision", dict), ("image_size", int)):
        if not isinstance(stored.get(name), kind):
            raise CheckpointError(
                f"{source.folder / 'config.json'}: {name} is {stored.get(name)!r:.80}; it has to "
                f"be a {kind.__name__}"
            )
    return stored


MOST = {"num_hidden_layers": 4096, "hidden_size": 1 << 18, "vocab_size": 1 << 24}
"""Beyond these no LLM's fields lie; building one would grow without bound."""


def llm_config_of(folder: Path) -> dict[str, Any]:
    """The fields that an LLM's family builds it from again, without what runs code."""
    fields = read_object(folder / "config.json", CheckpointError)
    for name, most in MOST.items():
        value = fields.get(name)
        if isinstance(value, int) and value > most:
            raise CheckpointError(
                f"{folder / 'config.json'}: {name} is {str(value)[:40]}; it may be {most} at most"
            )
    return {k: v for k, v in fields.items() if k not in ("auto_map", "quantization_config")}
