"""What a stage left and cannot be used: on another base, without its base, or damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.checkpoints.artefact import write_artefact
from collavo.modeling.checkpoints.stage_folder import STAGE, TRAINED, open_stage
from tests.modeling.trained_stage import VL, load, logits, trained


def test_run_and_base_may_move_together(base: Path, tmp_path: Path) -> None:
    home = tmp_path / "a"
    shutil.copytree(base, home / "base")
    model = trained(home / "base")
    write_artefact(model, home / "export")
    home.rename(tmp_path / "b")
    assert torch.equal(logits(load(tmp_path / "b/export")), logits(model))
    shutil.rmtree(tmp_path / "b/base")
    with pytest.raises(
        MissingFileError, match="of a base that is not there.*base.weights in stage"
    ):
        load(tmp_path / "b/export")


def test_another_base_is_refused_with_what_differs(stage: Path, base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    tensors = load_file(other / "model.safetensors")
    save_file({n: t + 0.5 for n, t in tensors.items()}, other / "model.safetensors")
    fields = json.loads((stage / STAGE).read_text())
    fields["base"]["weights"] = str(other)
    (stage / STAGE).write_text(json.dumps(fields))
    with pytest.raises(
        CheckpointError,
        match=r"on another base than .*other: model.safetensors is sha256 \w+…, it was sha256",
    ) as refused:
        load(stage)
    assert "config.json is" not in str(refused.value)


def _zeros(folder: Path) -> None:
    save_file({n: t * 0 for n, t in load_file(folder / VL).items()}, folder / VL)


def _not_finite(folder: Path) -> None:
    save_file({n: t / 0 for n, t in load_file(folder / VL).items()}, folder / VL)


def _cut(folder: Path) -> None:
    (folder / VL).write_bytes((folder / VL).read_bytes()[:-100])


def _half(folder: Path) -> None:
    tensors = load_file(folder / VL)
    tensors.pop(next(n for n in tensors if "lora_B" in n))
    save_file(tensors, folder / VL)


def _foreign(folder: Path) -> None:
    tensors = load_file(folder / VL)
    save_file({n.replace("layers.0", "layers.77"): t for n, t in tensors.items()}, folder / VL)


def _wide(folder: Path) -> None:
    tensors = load_file(folder / VL)
    save_file(
        {n: t if "lora_B" in n else t[:, :-1].clone() for n, t in tensors.items()}, folder / VL
    )


def _dora(folder: Path) -> None:
    file = folder / "adapters/vl/adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "use_dora": True}))


def _less(folder: Path) -> None:
    tensors = load_file(folder / TRAINED)
    tensors.pop("seg_num_embed.weight")
    save_file(tensors, folder / TRAINED)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_zeros, "adapter vl is all zeros, though it was trained"),
        (_not_finite, "holds numbers that are not finite"),
        (_cut, "adapter_model.safetensors is damaged"),
        (_half, r"A and B of .* are \[\(4, \d+\)\], not of rank 4"),
        (_foreign, "adapter vl is of another model: this one has no linear model.layers.77"),
        (_wide, r"adapter vl is of another model: .* takes \d+ and gives \d+ features there"),
        (_dora, "asks for use_dora; only plain LoRA adapters are computed"),
        (_less, "trained.safetensors and stage.json differ in seg_num_embed.weight"),
        (lambda folder: (folder / VL).unlink(), "adapter vl: .* lacks adapter_model.safetensors"),
        (lambda folder: (folder / TRAINED).unlink(), "lacks trained.safetensors"),
        (lambda folder: (folder / STAGE).write_text("{"), "stage.json is no JSON"),
        (
            lambda folder: (folder / STAGE).write_text(
                (folder / STAGE).read_text().replace('"format": 1', '"format": 9')
            ),
            "format 9; this version reads 1",
        ),
    ],
)
def test_damage_is_found_and_named(
    stage: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(stage)
    with pytest.raises((CheckpointError, MissingFileError), match=message):
        load(stage)


def test_what_cannot_be_written(base: Path, tmp_path: Path) -> None:
    model = trained(base)
    with pytest.raises(CheckpointError, match="fold them in with `lbk_entry.py merge`"):
        model.save_pretrained(tmp_path / "published")
    model.register_parameter("extra", nn.Parameter(torch.zeros(1)))
    with pytest.raises(CheckpointError, match="has no place for the trained extra"):
        write_artefact(model, tmp_path / "a")
    model.source = None
    with pytest.raises(CheckpointError, match="came from no checkpoint"):
        write_artefact(model, tmp_path / "b")
    with pytest.raises(MissingFileError, match="has no stage.json: give the folder that a stage"):
        open_stage(tmp_path)
