"""What must stay light stays light: no torch where none is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "accelerate", "peft", "bitsandbytes", "pandas", "detectron2")


def modules_under(root: Path, *folders: str) -> list[str]:
    """Lists the modules of the repository's folders, by the names they are imported under."""
    files = [file for folder in folders for file in sorted((root / folder).rglob("*.py"))]
    names = [".".join(file.relative_to(root).with_suffix("").parts) for file in files]
    return [
        (name if name.startswith("collavo.") else f"collavo.{name}").removesuffix(".__init__")
        for name in names
    ]


def loaded(root: Path, code: str) -> set[str]:
    """Runs `code` in a new interpreter and returns which heavy packages it loaded."""
    probe = f"{code}\nimport sys\nprint('HEAVY', *(m for m in {HEAVY!r} if m in sys.modules))"
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", probe], cwd=root, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    return set(out.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import collavo",
        "import collavo.registry, collavo.records, collavo.errors, collavo.plugins",
        "from collavo.config import get_cfg; get_cfg(['collavo_eval.yaml'], benchmark='pope')",
        "import collavo.cli.main, collavo.cli.list, collavo.cli.score, collavo.cli.parity",
        "from collavo.datasets.registration.catalog import dataset_names; dataset_names()",
    ],
)
def test_light_imports(repository: Path, code: str) -> None:
    assert loaded(repository, code) == set()


def test_data_and_pipelines_import_without_torch(repository: Path) -> None:
    folders = ("pipeline", "datasets/registration", "datasets/evaluation", "collavo/config")
    names = modules_under(repository, *folders, "collavo/results")
    assert len(names) > 10
    assert loaded(repository, f"import {', '.join(names)}") == set()


def test_heavy_import_is_seen(repository: Path) -> None:
    assert loaded(repository, "import torch") == {"torch"}


def test_predictor_is_had_at_its_first_use() -> None:
    import collavo

    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = collavo.Predicter
    assert collavo.__version__
