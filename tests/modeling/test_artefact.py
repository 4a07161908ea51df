"""What a stage leaves: written, read back, loaded on its base, and by PEFT alone."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from collavo.config import default_cfg, get_cfg
from collavo.errors import ConfigError
from collavo.modeling.adapters.dual_lora import adapted_linears, add_adapters
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.base import Generation
from collavo.modeling.checkpoints.artefact import write_artefact
from collavo.modeling.checkpoints.stage_folder import STAGE, TRAINED, open_stage
from collavo.modeling.crayon.geometry import crayon_geometry
from collavo.modeling.segmenters.source import segmenter_folder
from collavo.modeling.weights import builtin_weights
from tests.modeling.trained_stage import VL, inputs, load, logits, trained


def test_what_is_written(written: tuple[Path, torch.Tensor], base: Path) -> None:
    folder, _ = written
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    adapters = {
        f"adapters/{n}/adapter_{f}" for n in ("image", "vl") for f in ("config.json", VL[20:])
    }
    assert found == {STAGE, TRAINED, *adapters}
    fields = json.loads((folder / STAGE).read_text())
    assert fields["format"] == 1
    assert fields["adapters"] == ["image", "vl"]
    assert fields["zero"] == []
    assert fields["base"]["weights"] == str(base.resolve())
    assert (fields["base"]["bits"], fields["base"]["dtype"]) == (16, "float32")
    assert set(fields["base"]["files"]) >= {"config.json", "model.safetensors"}
    assert fields["base"]["fingerprint"] == open_stage(folder).base.fingerprint
    assert sorted(load_file(folder / TRAINED)) == sorted(fields["trained"])
    assert set(fields["trained"]) == {
        *(f"vision_proj_for_seg.{i}.{p}" for i in (0, 2) for p in ("weight", "bias")),
        "seg_num_embed.weight",
        "seg_prompt_embed.weight",
    }
    keys = load_file(folder / VL)
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in keys
    assert not any(".base." in key for key in keys)


def test_a_loaded_stage_is_the_trained_model(written: tuple[Path, torch.Tensor]) -> None:
    folder, expected = written
    model = load(folder)
    assert torch.equal(logits(model), expected)
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.modules())


def test_the_engine_answers_with_it_as_plainly(written: tuple[Path, torch.Tensor]) -> None:
    model = load(written[0], merge="auto")
    assert not model.merges_images
    ids, visuals, crayon = inputs(model)
    generation = Generation(num_beams=1, max_new_tokens=4)
    row = ids[0].tolist()
    plain = model.generate([row], [visuals], crayon, generation)
    contexts = model.encode([visuals], crayon, [row[:-3]])
    assert model.answer(contexts, [row[-3:]], [0], generation) == plain
    assert all(linear.merged is None for _, linear in plora_linears(model.llm))
    with pytest.raises(ConfigError, match="LLM.MERGE on needs plain weights, but the model has"):
        load(written[0], merge="on")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's own
def test_peft_alone_loads_both_adapters_onto_a_plain_llama(
    written: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    folder, _ = written
    model = load(folder)
    vocab = model.llm.config.vocab_size
    weights = {
        name.replace(".base.base_layer.", "."): tensor
        for name, tensor in model.llm.state_dict().items()
        if not any(part in name for part in (".lora_", ".up.", ".down.", ".crayon_up."))
    }
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:vocab]
    config = copy.deepcopy(model.llm.config)
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(weights)
    plain.save_pretrained(tmp_path / "llama")
    llama = AutoModelForCausalLM.from_pretrained(tmp_path / "llama", dtype=torch.float32)
    peft = PeftModel.from_pretrained(llama, folder / "adapters" / "image", adapter_name="image")
    peft.load_adapter(folder / "adapters" / "vl", adapter_name="vl")
    peft.base_model.set_adapter(["image", "vl"])
    ids = torch.tensor([model.known_tokenizer().encode("Is there a dog?")])
    with torch.no_grad():
        torch.testing.assert_close(peft.eval()(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_some_targets_are_named_so_that_peft_finds_them(base: Path, tmp_path: Path) -> None:
    model = trained(base, targets="q_proj down_proj")
    write_artefact(model, tmp_path / "leaves")
    fields = json.loads((tmp_path / "leaves/adapters/vl/adapter_config.json").read_text())
    assert fields["target_modules"] == ["down_proj", "q_proj"]
    assert (fields["r"], fields["lora_alpha"], fields["lora_dropout"]) == (4, 8, 0.05)
    assert torch.equal(logits(load(tmp_path / "leaves")), logits(model))
    one = load(base)
    add_adapters(one.llm, ("vl",), rank=2, targets=["model.layers.0.self_attn.q_proj"])
    for _, layer in adapted_linears(one.llm):
        nn.init.normal_(layer.lora_B["vl"].weight)
    write_artefact(one, tmp_path / "one")
    fields = json.loads((tmp_path / "one/adapters/vl/adapter_config.json").read_text())
    assert fields["target_modules"] == ["model.layers.0.self_attn.q_proj"]
    assert torch.equal(logits(load(tmp_path / "one")), logits(one))


def test_a_stage_on_a_stage_carries_what_came_with_it(
    written: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    model = load(written[0])
    model.projector.layers[0].bias.requires_grad_(True)
    model.projector.layers[0].bias.data += 0.1
    again = write_artefact(model, tmp_path / "next")
    assert set(again.trained) == {*open_stage(written[0]).trained, "vision_proj.0.bias"}
    assert torch.equal(logits(load(tmp_path / "next")), logits(model))


def test_quantised_bases_and_the_bits_that_they_were_trained_with(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = trained(base, bits=4)
    assert write_artefact(model, tmp_path / "nf4").base.bits == 4
    with caplog.at_level(logging.WARNING, logger="collavo"):
        torch.testing.assert_close(
            logits(load(tmp_path / "nf4", bits=4)), logits(model), rtol=1e-5, atol=1e-5
        )
        assert not caplog.records
        load(tmp_path / "nf4")
    assert "trained on a base of 4 bits, but LLM.BITS is 16" in caplog.text


def test_the_segmenter_learns_the_grid_from_the_base(written: tuple[Path, torch.Tensor]) -> None:
    cfg = get_cfg([], ["MODEL.WEIGHTS", str(written[0])])
    model = load(written[0])
    assert crayon_geometry(cfg) == (model.image_size, model.grid)


def test_bfloat16_takes_everything(written: tuple[Path, torch.Tensor]) -> None:
    model = load(written[0], dtype="bf16")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert bool(torch.isfinite(logits(model)).all())


def test_the_fingerprint_covers_the_stage(stage: Path, base: Path) -> None:
    before = load(stage).fingerprint()
    assert before != load(base).fingerprint()
    moved = stage.with_name("moved")
    stage.rename(moved)
    assert load(moved).fingerprint() == before
    tensors = load_file(moved / VL)
    first = next(iter(tensors))
    save_file({**tensors, first: tensors[first] + 1}, moved / VL)
    assert load(moved).fingerprint() != before


def test_a_builtin_base_is_named_as_such(tmp_path: Path) -> None:
    model = load(builtin_weights("collavo"))
    add_adapters(model.llm, rank=2)
    assert write_artefact(model, tmp_path).base.weights == "builtin:collavo"
    assert open_stage(tmp_path).base_folder() == builtin_weights("collavo")
    cfg = default_cfg()
    cfg.MODEL.WEIGHTS = str(tmp_path)
    assert segmenter_folder(cfg, ("config.json",)) == builtin_weights("segmenter")


def test_an_adapter_that_no_step_trained_is_said_to_be_zero(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = trained(base)
    for _, layer in adapted_linears(model.llm):
        nn.init.zeros_(layer.lora_B["image"].weight)
    with caplog.at_level(logging.WARNING, logger="collavo"):
        assert write_artefact(model, tmp_path).zero == ("image",)
    assert "adapter image is zero: no step trained it" in caplog.text
    assert torch.equal(logits(load(tmp_path)), logits(model))
