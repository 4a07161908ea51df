"""Where the packaged files and the caches lie."""

from __future__ import annotations

import os
from pathlib import Path

import collavo

PACKAGE = Path(collavo.__file__).resolve().parent


def cache_dir() -> Path:
    """The folder of everything that can be built again: COLLAVO_CACHE, else ~/.cache/collavo."""
    given = os.environ.get("COLLAVO_CACHE", "")
    return Path(given).expanduser().resolve() if given else Path.home() / ".cache" / "collavo"


def configs_dir() -> Path:
    """The folder of the packaged YAML files."""
    return PACKAGE / "configs"


def assets_dir() -> Path:
    """The folder of the built-in checkpoints and tables."""
    return PACKAGE / "assets"
