"""Hashes files once: a digest is kept for as long as the file's identity on disk stays the same."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from pathlib import Path

from collavo.config.paths import cache_dir

logger = logging.getLogger(__name__)

_CHUNK = 1 << 22
_SETTLED_S = 2.0
"""A file changed this lately may change again within one tick of its clock, so it is not kept."""


def file_digest(path: str | Path) -> str:
    """Returns the sha256 of a file's content, in hex.

    Digests are kept under the cache folder by path, size, both change times and inode; a file that
    is replaced or written to is hashed anew.
    """
    target = Path(path).resolve()
    state = target.stat()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    identity = "|".join(map(str, (target, state.st_size, *times, state.st_ino, state.st_dev)))
    kept = cache_dir() / "digests" / hashlib.sha256(identity.encode()).hexdigest()
    if kept.is_file():
        text = kept.read_text(encoding="ascii", errors="replace").strip()
        if re.fullmatch(r"[0-9a-f]{64}", text):
            return text
    digest = hashlib.sha256()
    with target.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if time.time() - max(state.st_mtime, state.st_ctime) > _SETTLED_S:
        _keep(kept, found)
    return found


def _keep(path: Path, digest: str) -> None:
    """Stores a digest in one step; a cache that cannot be written to only costs time."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(digest + "\n", encoding="ascii")
        partial.replace(path)
    except OSError as error:
        logger.warning("digests are not kept: %s cannot be written (%s)", path.parent, error)
