"""The one way to transformers' `from_pretrained`: no code of a checkpoint's own, no pickles."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from collavo.errors import CheckpointError
from collavo.modeling.checkpoints.digest import file_digest

LONGEST = 500
"""Characters of a library's own message that are passed on."""


def load_pretrained(
    kind: Any, name: str | Path, key: str, trust_remote_code: bool = False, **options: Any
) -> Any:
    """Loads a model, tokenizer, processor or config by its class's `from_pretrained`.

    Args:
        kind: A class of transformers.
        name: A folder or a hub id.
        key: The configuration key that holds it, for messages.
        trust_remote_code: Run code that the checkpoint brings along (MODEL.TRUST_REMOTE_CODE).
            Without it such code is refused, and nobody is asked.
        options: Further arguments of `from_pretrained`.

    Raises:
        CheckpointError: It cannot be loaded; the message names key and folder.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import PreTrainedModel

    if kind.__name__.startswith("Auto"):  # the others know their class and take no such argument
        options["trust_remote_code"] = trust_remote_code
    is_model = issubclass(kind, PreTrainedModel) or hasattr(kind, "from_config")
    checked = is_model and "output_loading_info" not in options  # else the caller looks itself
    if is_model:
        options |= {"use_safetensors": True, "output_loading_info": True}
    try:
        loaded = kind.from_pretrained(name, **options)
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError),
        *(ImportError, RecursionError, MemoryError, OverflowError, ZeroDivisionError),
        *(SafetensorError, StrictDataclassError),
    ) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
        hint = ""
        if "trust_remote_code" in said:
            hint = "; it needs code of its own, which runs only with MODEL.TRUST_REMOTE_CODE True"
        raise CheckpointError(f"{key}: {name} cannot be loaded: {said}{hint}") from error
    if not checked:
        return loaded
    model, found = loaded
    missing = sorted(found.get("missing_keys") or ())
    if missing:  # the library would draw them at random
        raise CheckpointError(
            f"{key}: {name} lacks {len(missing)} tensors of a {type(model).__name__}, such as "
            f"{missing[0]}: it is the checkpoint of something else, or not whole"
        )
    return model


def content_of(name: str, revision: str = "") -> str:
    """Names what a folder holds, by its content; a hub id by itself and its revision.

    Args:
        name: A folder or a hub id.
        revision: The hub revision, "" for the newest.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return f"{name}@{revision}" if revision else name
    whole = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(f"{file.relative_to(folder).as_posix()}\0{file_digest(file)}\0".encode())
    return whole.hexdigest()
