"""Where caches and packaged files lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.config.paths import assets_dir, cache_dir, configs_dir


def test_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("COLLAVO_CACHE", "~/there")
    assert cache_dir() == Path.home() / "there"
    monkeypatch.delenv("COLLAVO_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "collavo"


def test_packaged_folders_exist() -> None:
    assert (configs_dir() / "collavo_eval.yaml").is_file()
    assert assets_dir().is_dir()
