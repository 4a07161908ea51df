"""`collavo.datasets` is ours and `datasets` Hugging Face's: checkout, editable install, wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PROBE = """
import importlib, pathlib, sys
import datasets
assert hasattr(datasets, "load_dataset"), f"not Hugging Face's datasets: {datasets.__path__}"
import collavo
from importlib.resources import files
for module in ("datasets.registration", "pipeline.base", "modeling.segmenters", "engine"):
    importlib.import_module(f"collavo.{module}")
config = files("collavo") / "configs"
assert (config / "collavo_eval.yaml").is_file(), config
assert (config / "accel" / "cpu.yaml").is_file(), config
assert (files("collavo") / "assets").is_dir()
print(pathlib.Path(collavo.__file__).resolve().parent)
"""


def probe(python: str | Path, cwd: Path, **env: str) -> str:
    """Runs the probe and returns the folder that `collavo` came from."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | env
    out = subprocess.run(
        [str(python), "-W", "ignore", "-c", PROBE],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def make_venv(folder: Path) -> Path:
    """Makes an environment that sees this one's packages but installs of its own come first."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    # this environment's packages, without the editable install of the project itself
    outer = [p for p in sys.path if p.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(outer) + "\n")
    return python


def pip(python: Path, *args: str) -> None:
    """Installs into the environment of `python` with this environment's pip, offline."""
    out = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
        + ["--no-build-isolation", "--no-index", *args],
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that a fresh clone would hold (links kept)."""
    folder = tmp_path_factory.mktemp("clone") / "collavo-toolkit"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the files of a fresh clone cannot be listed")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = repository / name, folder / name
        if name.startswith("tests/") or not (source.exists() or source.is_symlink()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        else:
            target.write_bytes(source.read_bytes())
    return folder


def test_links_are_relative(repository: Path) -> None:
    for name in ("datasets", "modeling", "pipeline", "configs"):
        link = repository / "collavo" / name
        assert link.is_symlink(), f"{link} is not a link: clone with core.symlinks=true"
        assert os.readlink(link) == f"../{name}"
        assert not (repository / name / "__init__.py").exists(), (
            f"{name}/__init__.py shadows others"
        )


def test_tests_have_no_packages(repository: Path) -> None:
    assert list((repository / "tests").rglob("__init__.py")) == []


def test_bare_checkout(copy: Path) -> None:
    assert probe(sys.executable, copy, PYTHONPATH="") == str(copy / "collavo")


def test_editable_install(copy: Path, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "editable")
    pip(python, "--editable", str(copy))
    assert probe(python, tmp_path) == str(copy / "collavo")
    assert probe(python, copy) == str(copy / "collavo")


def test_wheel(copy: Path, tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        + ["--no-index", "--wheel-dir", str(tmp_path), str(copy)],
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names if not n.split("/")[0].endswith(".dist-info")}
    assert tops == {"collavo"}, tops
    python = make_venv(tmp_path / "fresh")
    pip(python, str(wheel))
    home = probe(python, tmp_path)
    assert home.startswith(str(tmp_path / "fresh")), home
    script = tmp_path / "fresh" / "bin" / "collavo"
    out = subprocess.run([str(script), "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
