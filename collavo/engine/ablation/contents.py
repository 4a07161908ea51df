"""What lies behind a path: weights, code and settings by content, data by size and change time."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from collavo.errors import ConfigError

BY_CONTENT = (".safetensors", ".json", ".yaml", ".yml", ".model", ".txt", ".py", "")
"""Ends of files whose bytes are hashed; all others, images most of all, go by size and time."""

LARGE = 64 << 20
"""Bytes from which on a file that holds no weights goes by size and time, too."""


@cache
def state_of(text: str) -> str:
    """Hashes what is at a path; "" where the text names nothing that is there.

    Raises:
        ConfigError: It cannot be read.
    """
    if not text or len(text) > 4096 or "\0" in text:
        return ""
    path = Path(text).expanduser()
    try:
        if path.is_file():
            return _file(path)
        if not path.is_dir() or len(path.resolve().parts) < 3:  # no walk over "/" or "/home"
            return ""
        whole = hashlib.sha256()
        for folder, inner, files in os.walk(path):
            inner[:] = sorted(name for name in inner if name not in ("__pycache__", ".git"))
            for name in sorted(files):
                file = Path(folder, name)
                whole.update(f"{file.relative_to(path).as_posix()}\0{_file(file)}\0".encode())
        return whole.hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _file(file: Path) -> str:
    from collavo.modeling.checkpoints.digest import file_digest

    state = file.stat()
    weights = file.suffix == ".safetensors"
    if file.suffix in BY_CONTENT and (weights or state.st_size < LARGE):
        return file_digest(file)
    return f"{state.st_size} {state.st_mtime_ns}"
