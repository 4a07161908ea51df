"""Finds the parquet files of a Hugging Face dataset in a local copy of its repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from collavo.datasets.registration.readers.parquet import parquet_rows
from collavo.datasets.registration.readers.rows import Row
from collavo.errors import MissingFileError


def hf_files(folder: Path, split: str, config: str | None = None) -> list[Path] | None:
    """Finds the parquet files of one split of a dataset, as a snapshot of its repository lies.

    Looked for in `<config>`, `data` and the folder itself, also below `snapshots/<revision>` of
    the hub's cache: `<split>-00000-of-00004[-<hash>].parquet`, `<split>.parquet`, `<split>/*`.

    Returns:
        The files in order, None where there are none.

    Raises:
        MissingFileError: Files of the split are there, but not all.
    """
    named = [config] if config else ["", "default"]
    inner = [*named, *(f"data/{name}" for name in named)] if config else ["data", *named]
    revisions = sorted(folder.glob("snapshots/*")) if folder.is_dir() else []
    for base in [folder, *reversed(revisions)]:
        for name in inner:
            files = _split_files(base / name, split)
            if files:
                return files
    return None


def hf_configs(folder: Path, split: str) -> list[str]:
    """Lists the subfolders that hold files of `split`, sorted (MMMU has one a subject)."""
    if not folder.is_dir():
        return []
    inner = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    return [name for name in inner if name != "data" and _split_files(folder / name, split)]


def hf_rows(
    folder: Path,
    split: str,
    config: str | None = None,
    image_root: Path | None = None,
    find_images: bool = True,
) -> Iterator[Row]:
    """Yields the rows of one split of a Hugging Face dataset that lies in `folder`.

    Args:
        folder: Where a snapshot of its repository lies.
        split: Such as "test".
        config: The subset, for datasets that have several.
        image_root: Below which images lie that the tables only name; `folder` by default.
        find_images: Whether those are wanted: if not, their paths are not looked at.

    Raises:
        MissingFileError: Files are not there; the message says where it was looked for.
        DataError: A file is broken.
    """
    files = hf_files(folder, split, config)
    if files is None:
        inner = f"{config}/" if config else "[data/]"
        raise MissingFileError(
            f"no parquet files of the split {split!r}: looked for {folder / inner}{split}-*.parquet"
        )
    return parquet_rows(files, image_root or folder, find_images)


def _split_files(folder: Path, split: str) -> list[Path]:
    if not folder.is_dir():
        return []
    name = re.escape(split)
    pattern = re.compile(rf"{name}(?:-(\d+)-of-(\d+))?(?:-[0-9a-f]{{8,}})?\.parquet")
    found = [(file, m) for file in folder.iterdir() if (m := pattern.fullmatch(file.name))]
    if not found:
        return sorted((folder / split).glob("*.parquet"))
    numbered = {int(m[1]): file for file, m in found if m[1]}
    total = max((int(m[2]) for _, m in found if m[2]), default=0)
    missing = sorted(set(range(total)) - set(numbered))
    if missing:
        raise MissingFileError(
            f"{folder}: {len(missing)} of the {total} files of the split {split!r} are missing, "
            f"such as {split}-{missing[0]:05d}-of-{total:05d}.parquet"
        )
    return [numbered[k] for k in sorted(numbered)] or sorted(file for file, _ in found)
