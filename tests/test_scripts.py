"""`install` and `run` say what is wrong before they do anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def bash(cwd: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *args], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}
    )


@pytest.fixture
def bare(repository: Path, tmp_path: Path) -> Path:
    """A folder with the scripts and the links, but nothing installed."""
    for name in ("install", "run"):
        shutil.copy(repository / name, tmp_path / name)
    (tmp_path / "collavo").mkdir()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "collavo" / "datasets").symlink_to("../datasets")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--everything"], "unknown option '--everything'"),
        (["--python"], "--python needs a path"),
        (["--python", "/no/such/python"], "'/no/such/python' is not a Python 3.11 or newer"),
    ],
)
def test_install_refuses(bare: Path, args: list[str], message: str) -> None:
    out = bash(bare, "install", *args)
    assert out.returncode != 0
    assert message in out.stderr
    assert not (bare / ".venv").exists()


def test_install_names_a_lost_link(bare: Path) -> None:
    (bare / "collavo" / "datasets").unlink()
    (bare / "collavo" / "datasets").write_text("../datasets")
    out = bash(bare, "install")
    assert out.returncode == 1
    assert "lost its links" in out.stderr


def test_install_names_the_failed_step(bare: Path, tmp_path: Path) -> None:
    (bare / "pyproject.toml").write_text("not toml [")
    out = bash(
        bare, "install", "--no-constraints", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "none")
    )
    assert out.returncode == 1
    assert "the step 'upgrade pip' failed" in out.stderr or "the step 'install torch'" in out.stderr


def fake_python(folder: Path, body: str) -> Path:
    script = folder / "python"
    script.write_text(f"#!/usr/bin/env bash\n{body}\n")
    script.chmod(0o755)
    return script


def test_run_returns_the_commands_own_exit_code(bare: Path) -> None:
    python = fake_python(
        bare,
        '[ "$1" = -c ] && exit 0\necho "$@" >>calls\necho 3 >"$COLLAVO_EXIT_CODE_FILE"\nexit 1',
    )
    out = bash(bare, "run", COLLAVO_PYTHON=str(python), N_GPU="0")
    assert out.returncode == 3
    (call,) = (bare / "calls").read_text().splitlines()
    assert call.endswith("lbk_entry.py eval --overrides DATASETS.TEST pope_test")
    assert "configs/accel/cpu.yaml" in call


@pytest.mark.parametrize("processes", ["1", "2"])
def test_run_ends_without_the_launchers_traceback(repository: Path, processes: str) -> None:
    words = ["eval", "--overrides", "DATASETS.TEST", "pope_tset"]
    python = {"COLLAVO_PYTHON": sys.executable, "N_GPU": "0", "N_PROC": processes}
    out = bash(repository, "run", *words, **python)
    assert out.returncode == 2
    assert "Unknown dataset 'pope_tset'. Did you mean: pope_test?" in out.stderr
    assert "Traceback" not in out.stderr and "starting it once more" not in out.stderr


def test_run_starts_once_more_after_a_death(bare: Path) -> None:
    python = fake_python(
        bare,
        '[ "$1" = -c ] && exit 0\necho x >>calls\n'
        '[ "$(wc -l <calls)" = 1 ] && exit 1\necho 0 >"$COLLAVO_EXIT_CODE_FILE"',
    )
    out = bash(bare, "run", COLLAVO_PYTHON=str(python), N_GPU="0")
    assert out.returncode == 0
    assert "starting it once more" in out.stderr
    assert len((bare / "calls").read_text().splitlines()) == 2


def test_run_passes_other_commands_on(bare: Path) -> None:
    python = fake_python(bare, '[ "$1" = -c ] && exit 0\necho "$@"')
    out = bash(bare, "run", "list", "datasets", "--json", COLLAVO_PYTHON=str(python))
    assert out.stdout.strip() == "lbk_entry.py list datasets --json"
