"""Dual LoRA: PEFT's adapters on any base, both computed, one of them trained."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from collavo.errors import ConfigError
from collavo.modeling.adapters.dual_lora import (
    DualLoRALinear,
    adapted_linears,
    add_adapters,
    switched_linears,
    target_paths,
)
from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.quantize import NF4Place
from collavo.modeling.adapters.switch import (
    AdapterSwitch,
    Turn,
    adapter_of,
    has_adapters,
    switch_of,
)
from collavo.modeling.adapters.targets import add_plora, plora_linears

IDS = torch.arange(18).view(2, 9) % 13


def plain(width: int = 64) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=13,
        hidden_size=width,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config).eval()


def with_plora() -> tuple[LlamaForCausalLM, InjectionState]:
    llm, state = plain(), InjectionState()
    add_plora(llm, state, 4)
    for _, linear in plora_linears(llm):
        nn.init.normal_(linear.up.weight, std=0.1)
        if linear.crayon_up is not None:
            nn.init.normal_(linear.crayon_up.weight, std=0.1)
    return llm, state


def filled(llm: nn.Module) -> nn.Module:
    torch.manual_seed(7)
    for _, layer in adapted_linears(llm):
        for linear in switched_linears(layer):
            nn.init.normal_(linear.weight, std=0.1)
    return llm


def test_new_adapters_change_nothing_but_what_trains() -> None:
    llm, _ = with_plora()
    llm.requires_grad_(False)
    llm.model.norm.weight.requires_grad_(True)
    before = llm(IDS).logits
    switch = add_adapters(llm, rank=3)
    assert torch.equal(llm(IDS).logits, before)
    assert switch.names == ("image", "vl")
    assert switch.trained is None
    switch.train_only("vl")
    assert AdapterSwitch(llm).trained == "vl"
    training = {adapter_of(n) or n for n, p in llm.named_parameters() if p.requires_grad}
    assert training == {"image", "vl", "model.norm.weight"}
    assert len(list(adapted_linears(llm))) == 14
    assert all(type(linear.base) is DualLoRALinear for _, linear in plora_linears(llm))


def test_the_forward_pass_is_that_of_peft() -> None:
    llm = plain()
    peft = copy.deepcopy(llm)
    add_adapters(llm, rank=3, alpha=6)
    filled(llm)
    weights = {n: p for n, p in llm.named_parameters() if adapter_of(n)}
    for name in ("image", "vl"):
        config = LoraConfig(r=3, lora_alpha=6, target_modules="all-linear")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a second adapter
            inject_adapter_in_model(config, peft, name)
    for _, module in peft.named_modules():
        if hasattr(module, "lora_A"):
            module.set_adapter(["image", "vl"])
    missing, unexpected = peft.load_state_dict(weights, strict=False)
    assert not unexpected
    assert not [name for name in missing if "lora" in name]
    torch.testing.assert_close(llm(IDS).logits, peft(IDS).logits, rtol=1e-5, atol=1e-5)


def set_turn(llm: nn.Module, turn: Turn | None) -> None:
    for _, layer in adapted_linears(llm):
        for linear in switched_linears(layer):
            linear.turn = turn


def _gradients(llm: nn.Module, run: Callable[[], torch.Tensor], kind: str | None) -> set[str]:
    llm.zero_grad()
    AdapterSwitch(llm).train_only(kind)
    run().square().mean().backward()
    return {adapter_of(n) for n, p in llm.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("where", ["span", "rows"])
def test_only_the_named_adapter_gets_gradients_and_they_are_those_of_full_training(
    checkpointing: bool, where: str
) -> None:
    llm, state = with_plora()
    llm.requires_grad_(False)
    add_adapters(llm, rank=3)
    filled(llm).train()
    features = torch.randn(3, 64, requires_grad=True)
    index = torch.randint(0, 3, (2, 4))
    rows = (torch.arange(2)[:, None] * 9 + torch.arange(2, 6)).flatten()

    def run() -> torch.Tensor:
        if where == "span":
            injection = Injection((2, 6), None, CrayonTerm(features, index), 2, 9)
        else:
            injection = Injection(None, rows, CrayonTerm(features, index.flatten()), 2, 9)
        with state.injection(injection):
            logits: torch.Tensor = llm(IDS, use_cache=False).logits
        return logits

    set_turn(llm, None)  # as if all of them were trained
    run().square().mean().backward()
    wanted = {n: p.grad.clone() for n, p in llm.named_parameters() if p.grad is not None}
    assert {adapter_of(n) for n in wanted} == {"image", "vl"}
    crayon = features.grad
    features.grad = None
    set_turn(llm, Turn(("image", "vl")))
    if checkpointing:
        state.checkpoint_layers(llm)
    AdapterSwitch(llm).train_all()
    run().square().mean().backward()
    assert {n for n, p in llm.named_parameters() if p.grad is not None} == set(wanted)
    for kind in ("image", "vl", "image", None):
        features.grad = None
        assert _gradients(llm, run, kind) == ({kind} - {None})
        for name, p in llm.named_parameters():
            if p.grad is not None:
                torch.testing.assert_close(p.grad, wanted[name])
        torch.testing.assert_close(features.grad, crayon)  # the idle one passes its gradient on


def test_nf4_bases_take_adapters_and_pass_gradients() -> None:
    llm, state = with_plora()
    place = NF4Place(torch.float32, "cpu")
    for name, linear in plora_linears(llm):
        weight = linear.base.weight.detach().clone()
        linear.base = place(name, linear.base, weight)  # type: ignore[arg-type]
    before = llm(IDS).logits
    llm.requires_grad_(False)
    add_adapters(llm, rank=3)
    assert torch.equal(llm(IDS).logits, before)
    filled(llm).train()
    first = next(layer for _, layer in adapted_linears(llm))
    assert type(first.base_layer).__name__ == "Linear4bit"
    assert first.lora_A["image"].weight.dtype == torch.float32
    assert _gradients(llm, lambda: llm(IDS, use_cache=False).logits, "vl") == {"vl"}
    grads = [p.grad for n, p in llm.named_parameters() if adapter_of(n) == "vl"]
    assert all(g is not None and bool(g.abs().sum() > 0) for g in grads)


def test_under_autocast_the_products_are_in_bfloat16() -> None:
    llm = plain()
    llm.requires_grad_(False)
    add_adapters(llm, rank=3)
    filled(llm).train()
    exact = llm(IDS, use_cache=False).logits
    with torch.autocast("cpu", torch.bfloat16):
        layer = next(layer for _, layer in adapted_linears(llm))
        assert layer(torch.randn(2, 3, 64)).dtype == torch.bfloat16
        rough = llm(IDS, use_cache=False).logits
        assert _gradients(llm, lambda: llm(IDS, use_cache=False).logits, "image") == {"image"}
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.1)
    grads = [p.grad for n, p in llm.named_parameters() if adapter_of(n) == "image"]
    assert {g.dtype for g in grads if g is not None} == {torch.float32}


def test_dropout_is_drawn_in_training_alone_and_again_when_recomputed() -> None:
    llm, state = with_plora()
    llm.requires_grad_(False)
    add_adapters(llm, rank=3, dropout=0.5)
    filled(llm)
    assert torch.equal(llm(IDS).logits, llm(IDS).logits)
    llm.train()
    assert not torch.equal(llm(IDS).logits, llm(IDS).logits)
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        _gradients(llm, lambda: llm(IDS, use_cache=False).logits, "vl")
        found.append({n: p.grad for n, p in llm.named_parameters() if p.grad is not None})
        llm.zero_grad()
        state.checkpoint_layers(llm)
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])


def test_zero3_calls_each_linear_as_a_module() -> None:
    llm = plain()
    llm.requires_grad_(False)
    add_adapters(llm, rank=3)
    filled(llm)
    joint = llm(IDS).logits
    for _, layer in adapted_linears(llm):
        for linear in switched_linears(layer):
            linear.weight.ds_id = 0  # type: ignore[attr-defined]
    torch.testing.assert_close(llm(IDS).logits, joint, rtol=1e-5, atol=1e-5)
    assert _gradients(llm, lambda: llm(IDS, use_cache=False).logits, "vl") == {"vl"}


def test_targets_by_name() -> None:
    llm, _ = with_plora()
    assert target_paths(llm, "q_proj v_proj")[0] == "model.layers.0.self_attn.q_proj.base"
    assert len(target_paths(llm, ("mlp.up_proj",))) == 2
    assert len(target_paths(llm)) == 14
    add_adapters(llm, ("vl",), rank=2, targets=["q_proj"])
    assert [name for name, _ in adapted_linears(llm)] == [
        f"model.layers.{i}.self_attn.q_proj.base" for i in range(2)
    ]
    assert AdapterSwitch(llm).trained == "vl"
    assert not has_adapters(plain())
    assert switch_of(plain()) is None
    with pytest.raises(ValueError, match="LlamaForCausalLM has no adapters to choose among"):
        AdapterSwitch(plain())


def test_more_adapters_join_those_there() -> None:
    llm, _ = with_plora()
    add_adapters(llm, ("image",), rank=2)
    filled(llm)
    before = llm(IDS).logits
    switch = add_adapters(llm, ("vl",), rank=3)
    assert switch.names == ("image", "vl")
    torch.testing.assert_close(llm(IDS).logits, before)
    assert _gradients(llm, lambda: llm(IDS, use_cache=False).logits, "vl") == {"", "vl"}
    with pytest.raises(ConfigError, match="has the adapters image, vl already"):
        add_adapters(llm, ("vl",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"targets": "q_prj"},
            "LORA.TARGETS has q_prj; the LLM's linears are down_proj, gate_proj",
        ),
        ({"targets": []}, "LORA.TARGETS has nothing"),
        ({"rank": 0}, "LORA.R is 0"),
        ({"alpha": -1.0}, "LORA.ALPHA -1.0"),
        ({"dropout": 1.0}, "LORA.DROPOUT is 1.0; it may be from 0 to below 1"),
        ({"names": ("image", "image")}, "give different names"),
        ({"names": ("a.b",)}, "give different names of letters"),
    ],
)
def test_bad_input_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_adapters(plain(), **options)  # type: ignore[arg-type]


def test_an_unknown_adapter_cannot_be_trained_and_nothing_is_folded_in_place() -> None:
    llm = plain()
    switch = add_adapters(llm, rank=2)
    with pytest.raises(ValueError, match="no adapter 'crayon' to train; the model has image, vl"):
        switch.train_only("crayon")
    with pytest.raises(ConfigError, match="lbk_entry.py merge"):
        next(layer for _, layer in adapted_linears(llm)).merge()
