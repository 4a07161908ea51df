"""PLoRA in any decoder: its targets, the shared A, checkpointing, and PEFT's adapters inside."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config

from collavo.modeling.adapters.injection import CrayonTerm, Injection, InjectionState
from collavo.modeling.adapters.targets import (
    LLAMA_TARGETS,
    PLoRATarget,
    add_plora,
    find_targets,
    plora_linears,
)

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
DECODERS = [LlamaConfig, Qwen2Config, MistralConfig, Phi3Config]


@pytest.mark.parametrize("config", DECODERS, ids=lambda c: c.model_type)
def test_any_decoder_takes_plora(config: type) -> None:
    torch.manual_seed(0)
    llm = AutoModelForCausalLM.from_config(config(**SIZES)).eval()
    ids = torch.randint(1, 40, (2, 9))
    with torch.no_grad():
        before = llm(ids).logits
        state = InjectionState()
        names = add_plora(llm, state, rank=3)
        assert len(names) == len(set(names)) and all(llm.get_submodule(n) for n in names)
        assert torch.equal(llm(ids).logits, before)
        crayon = CrayonTerm(torch.randn(4, 16), torch.randint(0, 4, (2, 3)))
        with state.injection(Injection((3, 6), None, crayon, 2, 9)):
            torch.testing.assert_close(llm(ids).logits, before)  # B is zero
            for _, wrapped in plora_linears(llm):
                nn.init.normal_(wrapped.up.weight, std=0.3)
                if wrapped.crayon_up is not None:
                    nn.init.normal_(wrapped.crayon_up.weight, std=0.3)
            changed = (llm(ids).logits - before).abs().amax((0, 2))
    assert (changed[:3] < 1e-5).all() and (changed[3:] > 1e-3).all()
    branches = {n.rpartition(".")[2]: m.crayon_up is not None for n, m in plora_linears(llm)}
    assert branches.pop("down_proj") is False and all(branches.values())


def test_llama_s_targets_are_found_by_name_and_shape() -> None:
    llm = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES))
    assert find_targets(llm.model.layers[0], 16) == LLAMA_TARGETS
    with pytest.raises(ValueError, match="no nn.Linear"):
        find_targets(nn.LayerNorm(4), 16)


def test_query_key_and_value_share_a_and_compute_it_once() -> None:
    llm = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)).eval()
    state = InjectionState()
    add_plora(llm, state, rank=3, targets=LLAMA_TARGETS)
    held = [n for n in llm.state_dict() if "layers.0.self_attn" in n and ".down.image." in n]
    assert held == [
        "model.layers.0.self_attn.q_proj.down.image.weight",
        "model.layers.0.self_attn.o_proj.down.image.weight",
    ]
    calls = []
    shared = llm.get_submodule("model.layers.0.self_attn.q_proj").shared_down
    shared.image.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad(), state.injection(Injection((1, 4), None, None, 1, 6)):
        llm(torch.ones(1, 6, dtype=torch.long))
    assert len(calls) == 1
    copied = copy.deepcopy(llm).get_submodule("model.layers.0.self_attn")
    assert copied.k_proj.shared_down is copied.q_proj.down is not shared
    with pytest.raises(ValueError, match="without PLoRA"):
        add_plora(llm, state, rank=3, targets=[PLoRATarget(("self_attn.q_proj",))])


def test_gradient_checkpointing_recomputes_with_the_image_tokens() -> None:
    torch.manual_seed(0)
    llm = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)).train()
    state = InjectionState()
    add_plora(llm, state, rank=3)
    for _, wrapped in plora_linears(llm):
        nn.init.normal_(wrapped.up.weight, std=0.3)
    ids = torch.randint(1, 40, (2, 9))
    grads = []
    for checkpointing in (False, True):
        if checkpointing:
            state.checkpoint_layers(llm)
        llm.zero_grad()
        with state.injection(Injection((3, 6), None, None, 2, 9)):
            loss = llm(ids, labels=ids, use_cache=False).loss
        loss.backward()
        grads.append([p.grad.clone() for p in llm.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 20
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_adapters_sit_inside() -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    llm = AutoModelForCausalLM.from_config(LlamaConfig(**SIZES)).eval()
    state = InjectionState()
    add_plora(llm, state, rank=3)
    config = peft.LoraConfig(r=2, target_modules=r".*\.base", init_lora_weights=False)
    tuned = peft.get_peft_model(llm, config, adapter_name="vl")
    ids = torch.randint(1, 40, (1, 7))
    with torch.no_grad():
        with state.injection(Injection((2, 5), None, None, 1, 7)):
            adapted = tuned(ids).logits
            with tuned.disable_adapter():
                bare = tuned(ids).logits
    assert not torch.allclose(adapted, bare)
    wrapped = dict(plora_linears(llm))["model.layers.0.mlp.up_proj"]
    assert not wrapped.mergeable
    with pytest.raises(TypeError, match="cannot be merged"):
        wrapped.merge()
