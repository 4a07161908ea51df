"""The fingerprint of a run: everything that could change an answer, hashed item by item."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from collavo.engine.imports import answering_files, has_unwritten
from collavo.errors import ConfigError
from collavo.records import ImageRef, Sample

FILE = "fingerprint.json"

_SESSION = os.urandom(16)
"""Stands for code that was typed into this process: no other has it, and none may take it for its
own."""


def fingerprint(items: Mapping[str, Any]) -> str:
    """Hashes the items to the name of a run folder: 16 hex digits."""
    return _hash(_plain(items))[:16]


def samples_digest(samples: Iterable[Sample]) -> str:
    """Hashes all that the dataset's files say of the samples, in order; images by name only.

    The content of the images is compared when they are read, see `evaluate`.
    """
    total = hashlib.sha256()
    for s in samples:
        row = [
            s.sample_id,
            image_label(*s.images),
            s.question,
            s.question_id,
            s.options,
            s.answers,
            s.category,
            s.extra,
        ]
        total.update(json.dumps(_plain(row), ensure_ascii=False, sort_keys=True).encode())
    return total.hexdigest()


def prompts_digest(prompts: Iterable[str]) -> str:
    """Hashes the rendered prompts of all samples, without the objects of their images."""
    total = hashlib.sha256()
    for prompt in prompts:
        total.update(prompt.encode())
        total.update(b"\0")
    return total.hexdigest()


def image_label(*images: ImageRef) -> str:
    """Names images, the same on every machine: by their paths below the dataset's root."""
    return ", ".join(_label(image) for image in images)


def _label(image: ImageRef) -> str:
    if image.path is not None and image.root is not None:
        try:
            return image.path.relative_to(image.root).as_posix()
        except ValueError:
            return image.path.name
    return image.label


def code_digest(*used: Any, roots: Iterable[str] = ()) -> str:
    """Hashes code: of the project, of plug-ins, and libraries' versions.

    Args:
        used: Objects whose classes take part: the model, its parts, pipeline, mapper, segmenter.
        roots: Modules of the project that take part besides.
    """
    total = hashlib.sha256()
    for name, digest in sorted(
        (name, hashlib.sha256(file.read_bytes()).hexdigest())
        for file, name in answering_files(used, roots).items()
    ):
        total.update(f"{name}\0{digest}\n".encode())
    for package in ("torch", "transformers"):
        total.update(f"{package} {version_of(package)}\n".encode())
    if has_unwritten(used):
        total.update(_SESSION)
    return total.hexdigest()


def version_of(package: str) -> str:
    """Returns the installed version of a package, "" where it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names the items in which two fingerprints differ, with both values where they are short."""
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key} ({_short(a)} there, {_short(b)} now)")
    return found


def check_folder(folder: Path, items: Mapping[str, Any], key: str = "EVAL.RUN_DIR") -> None:
    """Refuses a folder that holds a run of another fingerprint.

    Args:
        folder: The run folder.
        items: What the run now is.
        key: The configuration key that names such a folder, for the message.

    Raises:
        ConfigError: It does; the message names what differs.
    """
    old = read_items(folder)
    if old is None:
        if answers_in(folder) or holds_training(folder):
            raise ConfigError(
                f"{folder} holds what an earlier run made, but its {FILE} is absent or damaged, so "
                f"nobody knows what it was made with. Choose another {key}, or start anew there "
                "with --fresh"
            )
        return  # cut by a crash before any answer was stored; written again
    now = _plain(items)
    if old != now:
        raise ConfigError(
            f"{folder} holds a run of another configuration: {'; '.join(differences(old, now))}. "
            f"Choose another {key}, or start anew there with --fresh"
        )


def read_items(folder: Path) -> dict[str, Any] | None:
    """Reads what a run folder was made with; None where that is absent or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None


def answers_in(folder: Path) -> int:
    """How many lines a run folder's parts have: about as many as it has answers."""
    try:
        return sum(file.read_bytes().count(b"\n") for file in (folder / "parts").glob("*.jsonl"))
    except OSError:
        return 0


def holds_training(folder: Path) -> bool:
    """Whether a run folder has checkpoints of a training, or what it exported."""
    places = (folder / "export", *(folder / "checkpoints").glob("*"))
    return any(place.is_dir() for place in places)


def of_other_code(parent: Path, items: Mapping[str, Any], own: Path) -> dict[Path, int]:
    """Finds the run folders beside `own` whose answers differ from it in code alone.

    Returns:
        Each with about how many answers it has.
    """
    now = {key: value for key, value in _plain(items).items() if key != "code"}
    found = {}
    for file in sorted(parent.glob(f"*/{FILE}")):
        old = read_items(file.parent) if file.parent != own else None
        same = old is not None and {k: v for k, v in old.items() if k != "code"} == now
        if same and (count := answers_in(file.parent)):
            found[file.parent] = count
    return found


def write_items(folder: Path, items: Mapping[str, Any]) -> None:
    """Leaves the items in the run folder, for later launches and readers."""
    text = json.dumps(_plain(items), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    temporary = folder / f"{FILE}.new"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / FILE)


def _hash(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Turns a value into what JSON holds, the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, ImageRef):
        return image_label(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        items = [_plain(v) for v in value]
        return sorted(items, key=str) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, (bytes, bytearray)):
        return hashlib.sha256(bytes(value)).hexdigest()
    if isinstance(value, Path):
        return value.as_posix()
    number: Any = value
    if hasattr(number, "item") and getattr(number, "ndim", None) == 0:
        return number.item()
    if hasattr(number, "tolist"):
        return _plain(number.tolist())
    return type(number).__name__


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
