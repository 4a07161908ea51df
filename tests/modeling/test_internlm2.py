"""InternLM2's packing, and its config in transformers' terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights

from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.llms.base import resolve_attention, resolve_device, resolve_dtype
from collavo.modeling.llms.internlm2 import InternLM2, llama_config, pack_wqkv, unpack_wqkv
from collavo.registry import LLMS


@pytest.fixture
def config(golden: Path) -> dict:
    return json.loads((golden / "collavo_a" / "config.json").read_text(encoding="utf-8"))


def test_groups_hold_their_queries_then_key_then_value() -> None:
    heads, kv_heads, head_dim = 6, 2, 2
    packed = torch.arange((heads + 2 * kv_heads) * head_dim * 3).view(-1, 3)
    query, key, value = unpack_wqkv(packed, heads, kv_heads)
    row = lambda group, slot: packed[(group * 5 + slot) * head_dim :][:head_dim]  # noqa: E731
    assert torch.equal(query, torch.cat([row(g, s) for g in range(2) for s in range(3)]))
    assert torch.equal(key, torch.cat([row(0, 3), row(1, 3)]))
    assert torch.equal(value, torch.cat([row(0, 4), row(1, 4)]))
    assert torch.equal(pack_wqkv((query, key, value), heads, kv_heads), packed)


def test_rope_theta_is_honoured(config: dict) -> None:
    llm = InternLM2.build({**config, "rope_theta": 50000.0})
    inverse = llm.model.rotary_emb.inv_freq
    expected = 50000.0 ** -(torch.arange(0, 16, 2) / 16)
    torch.testing.assert_close(inverse, expected)


def test_one_embedding_more_than_the_vocabulary(config: dict) -> None:
    llm = LLMS.get("internlm2").build(config)
    assert llm.get_input_embeddings().weight.shape == (301, 64)
    assert llm.lm_head.weight.shape == (300, 64)


def test_buffers_are_real_where_weights_are_not(config: dict) -> None:
    with init_empty_weights(include_buffers=False):
        llm = InternLM2.build(config)
    assert llm.lm_head.weight.is_meta and not llm.model.rotary_emb.inv_freq.is_meta


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        ({"bias": True}, "bias true"),
        ({"rope_theta": None}, "lacks 'rope_theta'"),
    ],
)
def test_other_configs_are_refused(config: dict, change: dict, message: str) -> None:
    changed = {k: v for k, v in {**config, **change}.items() if v is not None}
    with pytest.raises(CheckpointError, match=message):
        llama_config(changed)


def test_any_decoder_of_transformers_can_be_built() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    llm = LLMS.get("hf_causal").build(
        {"model_type": "qwen2", "intermediate_size": 8, "num_key_value_heads": 1, **sizes}
    )
    assert type(llm).__name__ == "Qwen2ForCausalLM"
    with pytest.raises(ConfigError, match="'nonesuch' is no decoder"):
        LLMS.get("hf_causal").build({"model_type": "nonesuch"})


def test_devices_dtypes_and_attention_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert resolve_dtype("auto", cpu) == torch.float32
    assert resolve_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert resolve_attention("auto", cpu, torch.float32) == "sdpa"
    assert resolve_attention("eager", cpu, torch.float32) == "eager"
    with pytest.raises(ConfigError, match="LLM.DTYPE 'int3' is unknown; use auto, fp32"):
        resolve_dtype("int3", cpu)
    with pytest.raises(ConfigError, match="LLM.ATTN 'paged' is unknown"):
        resolve_attention("paged", cpu, torch.float32)
    with pytest.raises(ConfigError, match="flash"):
        resolve_attention("flash_attention_2", cpu, torch.float32)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == cpu
    with pytest.raises(ConfigError, match="sees no CUDA device"):
        resolve_device("cuda")
    with pytest.raises(ConfigError, match="'gpuu' is no device"):
        resolve_device("gpuu")
