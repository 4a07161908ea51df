"""A base in a folder of its own, and the stage that was trained on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from collavo.modeling.checkpoints.artefact import write_artefact
from collavo.modeling.weights import builtin_weights
from tests.modeling.trained_stage import logits, trained


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the built-in model, to read."""
    folder = tmp_path_factory.mktemp("base") / "collavo"
    shutil.copytree(builtin_weights("collavo"), folder)
    return folder


@pytest.fixture(scope="session")
def written(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """What a stage left, to read, and the logits of the model that left it."""
    folder = tmp_path_factory.mktemp("run") / "export"
    model = trained(base)
    write_artefact(model, folder)
    return folder, logits(model)


@pytest.fixture
def stage(written: tuple[Path, torch.Tensor], tmp_path: Path) -> Path:
    """What a stage left, to change."""
    shutil.copytree(written[0], tmp_path / "export")
    return tmp_path / "export"
