"""Decoding asks the device for no value between its looks at what has finished."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from collavo.modeling.architectures.base import Generation
from collavo.modeling.ops import decoding
from collavo.modeling.ops.prefix_cache import PrefixCache

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal")
"""Operations of ATen whose result, or its shape, the host needs: on CUDA each waits."""


class Watch(TorchDispatchMode):
    """Counts operations that would make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = [i for i in (args[1] if name == "index" else ()) if i is not None]
        if name in WAITS or any(i.dtype == torch.bool for i in masks):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(monkeypatch):
    """Returns how often the host waits in answering with so many tokens and beams."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2,
    )  # fmt: skip
    llm = LlamaForCausalLM(config).eval()
    cache = DynamicCache(config=config)
    with torch.no_grad():
        llm(input_ids=torch.tensor([[3, 4, 5, 6], [7, 8, 9, 0]]), past_key_values=cache)
    prefixes = PrefixCache.split(cache, [4, 3])
    monkeypatch.setitem(decoding._LOOK_EVERY, "cpu", 64)
    lists = [0]
    for method in ("tolist", "item", "numpy", "cpu", "__bool__", "__int__", "__float__"):
        real = getattr(torch.Tensor, method)

        def counted(self, *rest, real=real):
            lists[0] += 1
            return real(self, *rest)

        monkeypatch.setattr(torch.Tensor, method, counted)

    def count(tokens: int, beams: int) -> int:
        lists[0] = 0
        generation = Generation(num_beams=beams, max_new_tokens=tokens)
        suffixes, owners = [[5, 6], [7], [8, 9, 10]], [0, 1, 0]
        with Watch() as watch:
            decoding.generate_shared(llm, prefixes, suffixes, owners, generation, [1])
        return lists[0] + watch.waits.total()

    return count


@pytest.mark.parametrize("beams", [1, 3])
def test_more_tokens_need_no_more_waiting(waits, beams):
    short, long = waits(3, beams), waits(20, beams)
    assert short == long
    assert 0 < short < 10  # results are read, and the watch sees it


def test_looks_are_what_waits(waits, monkeypatch):
    monkeypatch.setitem(decoding._LOOK_EVERY, "cpu", 1)
    assert waits(20, 3) > waits(3, 3)


def test_cuda_looks_seldom():
    assert decoding._LOOK_EVERY["cuda"] >= 8
