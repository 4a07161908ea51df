"""Merging a stage: the same answers in the published format, and never in 4 bits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from collavo.cli.main import main
from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.adapters.dual_lora import adapted_linears, add_adapters, switched_linears
from collavo.modeling.adapters.peft_format import load_adapters
from collavo.modeling.adapters.quantize import dequantised
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.merge import merge
from collavo.modeling.checkpoints.artefact import write_artefact
from collavo.modeling.checkpoints.stage_folder import STAGE, open_stage
from collavo.modeling.weights import builtin_weights
from collavo.records import CrayonPrompt


def load(folder: Path, bits: int = 16) -> CoLLaVO:
    return CoLLaVO.from_pretrained(folder, bits=bits, dtype="fp32", device="cpu", merge="off")


@torch.no_grad()
def logits(model: CoLLaVO) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    size = (1, 3, model.image_size, model.image_size)
    pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=draw)
    cells = torch.randint(0, 9, (2, 1, *model.grid), generator=draw)
    ids = model.tokenize(model.render("Is there a dog in the image?", None))
    visuals = model.squares(pixels)
    return model(torch.tensor([ids]), visuals, CrayonPrompt(cells[0], cells[1], [None])).logits


def stage_of(folder: Path, bits: int, targets: str = "all") -> Path:
    model = load(builtin_weights("collavo"), bits)
    add_adapters(model.llm, rank=4, alpha=8, dropout=0.05, targets=targets)
    torch.manual_seed(5)
    for _, layer in adapted_linears(model.llm):
        for linear in switched_linears(layer):
            nn.init.normal_(linear.weight, std=0.05)
    weight = model.crayon_projector.layers[0].weight.requires_grad_(True)
    weight.data += 0.01 * torch.randn_like(weight)
    write_artefact(model, folder)
    return folder


def on_dequantised_base(stage: Path, bits: int) -> CoLLaVO:
    """The unmerged model: adapters beside the weights that the quantised linears stand for."""
    opened = open_stage(stage)
    model, quantised = load(builtin_weights("collavo")), load(builtin_weights("collavo"), bits)
    for (_, plain), (_, other) in zip(
        plora_linears(model.llm), plora_linears(quantised.llm), strict=True
    ):
        plain.base.weight.data = dequantised(other.base)  # type: ignore[union-attr]
    load_adapters(model.llm, opened.read_adapters(), torch.float32, "cpu")
    weight = opened.read_trained()["vision_proj_for_seg.0.weight"]
    model.crayon_projector.layers[0].weight.data = weight
    return model.eval()


@pytest.mark.parametrize(("bits", "targets"), [(16, "all"), (4, "all"), (8, "all"), (4, "k_proj")])
def test_in_float32_it_equals_the_unmerged_model_on_the_dequantised_base(
    bits: int, targets: str, tmp_path: Path
) -> None:
    stage = stage_of(tmp_path / "stage", bits, targets)
    done = merge(stage, tmp_path / "merged", torch.float32)
    merged = load(tmp_path / "merged")
    found, expected = logits(merged), logits(on_dequantised_base(stage, bits))
    assert (found - expected).abs().max() < 1e-4
    assert (found - logits(load(builtin_weights("collavo")))).abs().max() > 1e-2
    layers = merged.llm.config.num_hidden_layers
    assert (done.linears, done.trained, done.bits) == (
        layers * (7 if targets == "all" else 1),
        1,
        bits,
    )
    if bits < 8:  # 8 bits round the activations as well
        assert (found - logits(load(stage, bits))).abs().max() < 1e-4


@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)])
def test_in_16_bits_it_is_rounded_once(dtype: torch.dtype, step: float, tmp_path: Path) -> None:
    stage = stage_of(tmp_path / "stage", 4)
    merge(stage, tmp_path / "full", torch.float32)
    merge(stage, tmp_path / "half", dtype)
    full = load_file(tmp_path / "full/model.safetensors")
    half = load_file(tmp_path / "half/model.safetensors")
    assert full.keys() == half.keys()
    for name, value in half.items():
        assert value.dtype == dtype
        assert torch.equal(value, full[name].to(dtype)), name
    config = json.loads((tmp_path / "half/config.json").read_text())
    assert config["torch_dtype"] == str(dtype).removeprefix("torch.")
    exact = logits(load(tmp_path / "full"))
    rough = logits(load(tmp_path / "half"))
    assert (rough - exact).abs().max() < 30 * step * exact.abs().max()


def test_what_nothing_changed_is_byte_equal(tmp_path: Path) -> None:
    stage = stage_of(tmp_path / "stage", 16, "q_proj")
    merge(stage, tmp_path / "merged")
    base = load_file(builtin_weights("collavo") / "model.safetensors")
    merged = load_file(tmp_path / "merged/model.safetensors")
    assert list(merged) == list(base)
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    layers = range(len([n for n in base if n.endswith("wqkv.Plora_main.weight")]))
    assert changed == {
        "vision_proj_for_seg.0.weight",
        *(f"model.layers.{i}.attention.wqkv.Plora_main.weight" for i in layers),
    }
    assert {n: t.dtype for n, t in merged.items()} == {n: t.dtype for n, t in base.items()}
    assert (tmp_path / "merged/tokenizer.model").is_file()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = stage_of(tmp_path / "stage", 4)
    words = ["merge", "--from", str(stage), "--to", str(tmp_path / "merged"), "--dtype", "bf16"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "image + vl folded into" in said
    assert "linears dequantised from 4 bits, 1 tensors as trained" in said
    assert load(tmp_path / "merged").fingerprint()
    assert main(words) == 2
    assert "merged is there already; choose a new folder" in capsys.readouterr().err
    assert main(["merge", "--from", str(tmp_path / "merged"), "--to", str(tmp_path / "b")]) == 2
    assert "has no stage.json: give the folder that a stage" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("dtype", ["nf4", "int8", "4"])
def test_folding_into_few_bits_is_never_offered(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["merge", "--from", "a", "--to", str(tmp_path), "--dtype", dtype]) == 2
    assert "invalid choice" in capsys.readouterr().err


def test_bad_input(tmp_path: Path) -> None:
    stage = stage_of(tmp_path / "stage", 16)
    base = tmp_path / "base"
    shutil.copytree(builtin_weights("collavo"), base)
    tensors = load_file(base / "model.safetensors")
    save_file({n: t * 1.5 for n, t in tensors.items()}, base / "model.safetensors")
    fields = json.loads((stage / STAGE).read_text())
    other = tmp_path / "other"
    shutil.copytree(stage, other)
    (other / STAGE).write_text(
        json.dumps({**fields, "base": {**fields["base"], "weights": str(base)}})
    )
    with pytest.raises(CheckpointError, match="trained on another base than"):
        merge(other, tmp_path / "merged")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(ConfigError, match="full is there already"):
        merge(stage, tmp_path / "full")
    adapter = stage / "adapters/vl/adapter_model.safetensors"
    weights = load_file(adapter)
    save_file({n: t * 1e6 for n, t in weights.items()}, adapter)
    with pytest.raises(CheckpointError, match="too large for float16; choose --dtype bf16"):
        merge(stage, tmp_path / "merged", torch.float16)
    save_file({n.replace(".0.", ".9."): t for n, t in weights.items()}, adapter)
    with pytest.raises(CheckpointError, match="adapter vl is of another model"):
        merge(stage, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    assert not list(tmp_path.glob(".merged*"))
