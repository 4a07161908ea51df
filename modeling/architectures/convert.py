"""Converts checkpoints tensor by tensor: into the published format, other shards, another dtype."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.architectures.collavo_weights import open_published
from collavo.modeling.architectures.xcomposer2 import (
    BASE_KEY,
    base_config,
    outgoing_from_base,
    stored_dtype,
)
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.write import Outgoing, cut_shards, write_shards

KINDS = ("auto", "published", "xcomposer2")
SHARD_LIMIT = 10_000_000_000
"""Bytes of a shard where nothing else is said, as in the published checkpoint."""

_MAIN_KEY = "model.layers.0.attention.wqkv.Plora_main.weight"
BESIDE = ("*.json", "*.model", "*.txt", "*.md")
"""Files of a published checkpoint beside its weights."""

_BESIDE_BASE = ("tokenizer.model", "generation_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote.

    Args:
        kind: What the source was: "published" or "xcomposer2".
        tensors: How many tensors.
        fresh: How many of them are new, not from the source.
        nbytes: Bytes of all tensors.
        shards: Files they lie in.
    """

    kind: str
    tensors: int
    fresh: int
    nbytes: int
    shards: int


def convert(
    source: str | Path,
    target: str | Path,
    kind: str = "auto",
    max_shard_size: int = 0,
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> Converted:
    """Writes the checkpoint in `source` to `target` in the published format.

    It never holds more than one tensor. `target` gets its name only when all is written; a failed
    or broken-off conversion leaves nothing.

    Args:
        source: A folder with config.json and safetensors.
        target: The folder to make; it must not be there, or be empty.
        kind: "published", "xcomposer2", or "auto" to tell by the names of the tensors.
        max_shard_size: The most bytes of a file; 0 keeps the source's shards (published), or cuts
            at 10 GB as the published checkpoint is.
        dtype: What floats become; None keeps each as it is.
        seed: Draws the crayon branch of an xcomposer2 start.

    Raises:
        MissingFileError: The source or a file of it is not there.
        CheckpointError: The source is not what it should be, is pickled, or the target cannot be
            written.
        ConfigError: Unknown kind, or the target is in use.
    """
    folder = CheckpointFolder(source)
    kind = _kind(folder, kind)
    with written_whole(Path(target)) as partial_folder:
        if kind == "published":
            folder, _ = open_published(folder.folder)
            outgoing = [_copied(folder, name, dtype) for name in folder.tensors]
            fresh = 0
            config = dict(folder.config)
            copy_beside(folder.folder, partial_folder, BESIDE)
        else:
            outgoing, fresh = outgoing_from_base(folder, dtype, seed)
            config = base_config(folder.config)
            copy_beside(folder.folder, partial_folder, _BESIDE_BASE)
        shards = _shards(folder, kind, outgoing, max_shard_size)
        nbytes = sum(t.nbytes for t in outgoing)
        check_space(partial_folder, nbytes)
        if dtype is not None:
            config["torch_dtype"] = str(dtype).removeprefix("torch.")
        if kind != "published" or dtype is not None:
            text = json.dumps(config, indent=2, sort_keys=True) + "\n"
            (partial_folder / "config.json").write_text(text, encoding="utf-8")
        write_shards(partial_folder, shards)
    return Converted(kind, len(outgoing), fresh, nbytes, len(shards))


def _copied(folder: CheckpointFolder, name: str, dtype: torch.dtype | None) -> Outgoing:
    stored = folder.tensors[name]
    make = partial(folder.read_one, name)
    return Outgoing(name, stored.shape, dtype or stored_dtype(stored), make)


def _kind(folder: CheckpointFolder, kind: str) -> str:
    if kind not in KINDS:
        raise ConfigError(f"--kind is {kind!r}; it may be one of {', '.join(KINDS)}")
    if kind != "auto":
        return kind
    if _MAIN_KEY in folder.tensors:
        return "published"
    if BASE_KEY in folder.tensors:
        return "xcomposer2"
    some = ", ".join(list(folder.tensors)[:3])
    raise CheckpointError(
        f"{folder.folder} holds neither {_MAIN_KEY} (a CoLLaVO) nor {BASE_KEY} (an "
        f"InternLM-XComposer2-VL), but {some} ...; these two kinds can be converted"
    )


def _shards(
    folder: CheckpointFolder, kind: str, outgoing: list[Outgoing], limit: int
) -> list[list[Outgoing]]:
    if limit or kind != "published":
        return cut_shards(outgoing, limit or SHARD_LIMIT)
    return [[t for t in outgoing if folder.tensors[t.name].file == f] for f in folder.files]


def copy_beside(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    """Copies what lies beside the weights, but for their index."""
    for pattern in patterns:
        for file in source.glob(pattern):
            if not file.name.endswith(".index.json"):
                shutil.copyfile(file, target / file.name)


def check_space(folder: Path, nbytes: int) -> None:
    """Checks that a checkpoint finds room.

    Raises:
        CheckpointError: The disk has less than `nbytes` free.
    """
    free = shutil.disk_usage(folder).free
    if free < nbytes:
        raise CheckpointError(
            f"{folder.parent} has {free / 1e9:.4g} GB free, the checkpoint takes "
            f"{nbytes / 1e9:.4g} GB; nothing was written"
        )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yields a folder that becomes `target` at the end of the block, or is removed if it fails."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is there already; choose a new folder, or empty it")
    folder = target.with_name(f".{target.name}.partial")
    whole = False
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        yield folder
        folder.replace(target)
        whole = True
    except OSError as error:
        if isinstance(error, ValueError):  # a UserError says all there is to say
            raise
        raise CheckpointError(
            f"{target} could not be written ({error}); nothing is left of it"
        ) from error
    finally:
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
