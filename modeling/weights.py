"""Weights by folder or hub id: finds them, checks the files, hashes their content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import collavo
from collavo.errors import CheckpointError, MissingFileError
from collavo.json_files import read_object

HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt")
"""What is fetched of a hub repository: no pickles, no code."""

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
"""Weight files that can run code when they are read, and so are never opened."""

BUILTIN = "built-in tiny"
"""How reports call the weights that serve where none are named."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CHUNK = 1 << 22


def builtin_weights(name: str) -> Path:
    """The folder of a built-in checkpoint: "collavo", its backbone "base", or "segmenter"."""
    return Path(collavo.__file__).parent / "assets" / "tiny" / name


def is_builtin(name: str | Path) -> bool:
    """Whether weights that are named so are the built-in tiny model's or segmenter's."""
    return bool(str(name)) and Path(name).expanduser().resolve().parent == (
        builtin_weights("").resolve()
    )


def resolve_weights(
    name: str,
    revision: str = "",
    files: Sequence[str] = ("config.json",),
    key: str = "MODEL.WEIGHTS",
) -> Path:
    """Finds a checkpoint's folder, fetching it from the hub when `name` is a hub id.

    A folder of that name wins over a hub repository of that name.

    Args:
        name: A folder, or a hub id such as "BK-Lee/CoLLaVO-7B".
        revision: Branch, tag or commit on the hub; empty for the default branch.
        files: Files that must be there, next to the weights themselves.
        key: The config key that holds `name`, for messages.

    Raises:
        MissingFileError: No such folder, a file is not in it, or the hub cannot be reached.
        CheckpointError: The folder holds pickled weights only, or its index names absent shards.
    """
    folder = _find(name, revision, files, key, HUB_PATTERNS)
    check_folder(folder, files, key)
    return folder


def resolve_config(name: str, revision: str = "", key: str = "MODEL.WEIGHTS") -> Path:
    """Finds a checkpoint's config.json as `resolve_weights` would, but fetches no weights.

    Raises:
        MissingFileError: No such folder, no such file in it, or the hub cannot be reached.
    """
    folder = _find(name, revision, ("config.json",), key, ("config.json",))
    if not (folder / "config.json").is_file():
        raise MissingFileError(f"{key}: {folder} lacks config.json")
    return folder / "config.json"


def require_folder_or_hub_id(name: str, key: str, files: Sequence[str] = ("config.json",)) -> None:
    """Finds a mistyped folder out at once: reads nothing and fetches nothing.

    Raises:
        MissingFileError: `name` is neither empty, nor there, nor such as hub ids are.
    """
    if not name or Path(name).expanduser().exists() or _HUB_ID.fullmatch(name):
        return
    raise MissingFileError(
        f"{key} {name!r}: there is no such folder. Give a folder that holds "
        f"{', '.join(files)} and *.safetensors, or a hub id such as 'owner/name'."
    )


def _find(
    name: str, revision: str, files: Sequence[str], key: str, patterns: Sequence[str]
) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise MissingFileError(
            f"{key} {name!r} is a file; give the folder that holds {', '.join(files)} and "
            "*.safetensors"
        )
    require_folder_or_hub_id(name, key, files)
    return _from_hub(name, revision, files, key, patterns)


def check_folder(folder: Path, files: Sequence[str], key: str) -> None:
    """Checks that a folder holds `files` and complete weights in safetensors.

    Raises:
        MissingFileError: A file is not there.
        CheckpointError: The weights are pickled, or a shard that the index names is absent.
    """
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise MissingFileError(f"{key}: {folder} lacks {', '.join(missing)}")
    if not weight_files(folder, key):
        pickled = sorted(p.name for pattern in PICKLED for p in folder.glob(pattern))
        if pickled:
            raise CheckpointError(
                f"{key}: {folder} has pickled weights only ({', '.join(pickled)}). Pickles can run "
                "code and are not read; save the checkpoint as *.safetensors."
            )
        raise MissingFileError(f"{key}: {folder} has no *.safetensors file")


def weight_files(folder: Path, key: str = "MODEL.WEIGHTS") -> list[Path]:
    """Lists the safetensors files of a checkpoint: its index's shards, else model.safetensors.

    Without either, all there are; a folder may hold other tensors beside its model.

    Raises:
        CheckpointError: The index cannot be read, or names shards that are not there.
    """
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if not index.is_file():
        return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    named = read_object(index, lambda said: CheckpointError(f"{key}: {said}")).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(x, str) and x for x in named.values()):
        raise CheckpointError(
            f"{key}: {index} is no weight index: 'weight_map' has to name a file for each tensor"
        )
    shards = sorted(set(named.values()))
    outside = [s for s in shards if os.path.isabs(s) or ".." in Path(s).parts or "\0" in s]
    if outside:
        raise CheckpointError(
            f"{key}: {index} names the shard {outside[0]!r:.80}, which is not inside the folder"
        )
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"{key}: {folder} lacks the shards {', '.join(missing)} that {index.name} names"
        )
    return [folder / shard for shard in shards]


def weights_digest(folder: Path, files: Sequence[str] = ("config.json",)) -> str:
    """The sha256 over the content of a checkpoint's weights and of `files`, in hex.

    Every byte counts, so new weights at the same path never pass for the old ones. Blobs of the
    hub's cache are named by the sha256 of their content and are not read again.
    """
    paths = [*weight_files(folder), *(folder / f for f in files if (folder / f).is_file())]
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = list(pool.map(_file_digest, paths))
    whole = hashlib.sha256()
    for path, digest in zip(paths, digests, strict=True):
        # with its folders: shards of one name may lie in several
        whole.update(f"{path.relative_to(folder).as_posix()}\0{digest}\0".encode())
    return whole.hexdigest()


def _file_digest(path: Path) -> str:
    target = path.resolve()
    if target.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _from_hub(
    name: str, revision: str, files: Sequence[str], key: str, patterns: Sequence[str]
) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(patterns))
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise MissingFileError(
            f"{key} {name!r} is no folder here, and the hub repository of that name{at} could not "
            f"be fetched ({type(error).__name__}). Without a connection, place "
            f"{', '.join(files)} and its *.safetensors files (with model.safetensors.index.json "
            f"if there are several) in a folder and set {key} to it, or put the hub's own cache "
            f"under {constants.HF_HUB_CACHE}."
        ) from error
