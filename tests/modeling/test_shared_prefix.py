"""The shared-prefix cache gives the logits of the whole prompts and copies no prefix."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from collavo.modeling.ops import partial_attention as parts
from collavo.modeling.ops.prefix_cache import PrefixCache
from collavo.modeling.ops.shared_attention import attention_of, forward_rows
from collavo.modeling.ops.shared_prefix import SharedPrefixCache


def tiny_llm(seed: int = 0, kv_heads: int = 2, dtype: torch.dtype = torch.float32):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=120,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        initializer_range=0.3,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config).to(dtype).eval()


@torch.no_grad()
def encode(llm, prefixes):
    """Prefills right-padded prefixes in one batch."""
    lengths = [len(ids) for ids in prefixes]
    padded = torch.tensor([ids + [0] * (max(lengths) - len(ids)) for ids in prefixes])
    cache = DynamicCache(config=llm.config)
    llm(input_ids=padded, past_key_values=cache, logits_to_keep=1)
    return PrefixCache.split(cache, lengths)


def draw(generator, length):
    return torch.randint(3, 120, (length,), generator=generator).tolist()


@torch.no_grad()
def whole(llm, ids):
    return llm(input_ids=torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 2e-5), (torch.bfloat16, 0.15), (torch.float16, 0.02)],
)
def test_logits_equal_those_of_the_whole_prompt(kv_heads, dtype, tolerance):
    llm = tiny_llm(1, kv_heads, dtype)
    g = torch.Generator().manual_seed(2)
    prefixes = [draw(g, n) for n in (17, 9, 30)]
    owners = [0, 0, 1, 2, 2, 2]
    suffixes = [draw(g, n) for n in (4, 7, 1, 3, 7, 5)]
    cache = SharedPrefixCache(encode(llm, prefixes), owners, [7 - len(s) for s in suffixes], 9)
    ids = torch.tensor([[0] * (7 - len(s)) + s for s in suffixes])
    got = [forward_rows(llm, cache, ids, keep=7)]
    more = [draw(g, 2) for _ in owners]
    got += [forward_rows(llm, cache, torch.tensor(more)[:, i : i + 1]) for i in (0, 1)]
    got = torch.cat(got, dim=1)
    for row, owner in enumerate(owners):
        want = whole(llm, prefixes[owner] + suffixes[row] + more[row])
        valid = len(suffixes[row]) + 2
        spread = want.std()
        assert (got[row, -valid:] - want[-valid:]).abs().max() < tolerance * spread


def test_prefix_is_stored_once(monkeypatch):
    llm = tiny_llm()
    g = torch.Generator().manual_seed(0)
    prefixes = encode(llm, [draw(g, 40), draw(g, 33)])
    before = [t.data_ptr() for p in prefixes for t in (*p.keys, *p.values)]
    seen = []
    real = parts.partial_attention

    def spy(query, key, value, scaling, mask=None):
        seen.append((query.shape, key.data_ptr(), tuple(key.shape), value.data_ptr()))
        return real(query, key, value, scaling, mask)

    monkeypatch.setattr("collavo.modeling.ops.shared_attention.partial_attention", spy)
    cache = SharedPrefixCache(prefixes, [0] * 6 + [1] * 3, [0] * 9, 4)
    forward_rows(llm, cache, torch.randint(3, 120, (9, 3)))
    cache = cache.select([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8], 5)
    forward_rows(llm, cache, torch.randint(3, 120, (11, 1)))
    cache.reorder(torch.tensor([1, 0, 2, 3, 4, 5, 6, 7, 8, 10, 9]), 3)
    forward_rows(llm, cache, torch.randint(3, 120, (11, 1)))
    assert before == [t.data_ptr() for p in cache.prefixes for t in (*p.keys, *p.values)]
    large = [call for call in seen if call[2][2] in (40, 33)]
    assert len(large) == 3 * 2 * 2  # forwards x layers x images: one product each
    assert all(key in before and value in before for _, key, _, value in large)
    # the whole first image in one product: rows x tokens x grouped heads on the query axis
    assert large[0][0] == (1, 2, 6 * 3 * 2, 16)
    own = sum(t.numel() for t in (*cache.keys, *cache.values))
    assert own == 2 * 2 * 11 * 2 * 5 * 16


def test_split_frees_the_batch_and_each_image():
    llm = tiny_llm()
    cache = DynamicCache(config=llm.config)
    with torch.no_grad():
        llm(input_ids=torch.randint(3, 120, (2, 12)), past_key_values=cache)
    want = [layer.keys[1, :, :9].clone() for layer in cache.layers]
    first, second = PrefixCache.split(cache, [12, 9])
    assert all(layer.keys is None for layer in cache.layers)
    assert all(torch.equal(a, b) for a, b in zip(second.keys, want, strict=True))
    assert second.nbytes == 2 * 2 * 2 * 9 * 16 * 4
    assert first.nbytes == 2 * 2 * 2 * 12 * 16 * 4


def test_split_refuses_lengths_beyond_the_cache():
    llm = tiny_llm()
    cache = DynamicCache(config=llm.config)
    with torch.no_grad():
        llm(input_ids=torch.randint(3, 120, (1, 5)), past_key_values=cache)
    with pytest.raises(
        ValueError, match="1 rows of 5 positions, the lengths say 1 rows of up to 6"
    ):
        PrefixCache.split(cache, [6])


def test_a_prompt_without_image_shares_an_empty_prefix():
    llm = tiny_llm(3)
    empty = PrefixCache.empty(2, 2, 16, torch.float32, "cpu")
    cache = SharedPrefixCache([empty], [0, 0], [0, 2], 4)
    got = forward_rows(llm, cache, torch.tensor([[5, 6, 7, 8], [0, 0, 9, 10]]))
    assert torch.allclose(got[0, -1], whole(llm, [5, 6, 7, 8])[-1], atol=1e-4)
    assert torch.allclose(got[1, -1], whole(llm, [9, 10])[-1], atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_both_ways_of_partial_attention_agree(masked):
    g = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, 2, n, 16, generator=g) for n in (5, 11, 11))
    mask = None
    if masked:
        mask = torch.where(torch.rand(3, 1, 5, 11, generator=g) > 0.5, 0.0, -3e38)
        mask[..., 0] = 0
    fast = parts.partial_attention(query, key, value, 0.25, mask)
    plain = parts.materialised_attention(query, key, value, 0.25, mask)
    assert torch.allclose(fast[0], plain[0], atol=1e-6)
    assert torch.allclose(fast[1], plain[1], atol=1e-5)


def test_merging_parts_is_exact_where_one_part_dominates():
    g = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 1, n, 8, generator=g) for n in (4, 20, 20))
    key[:, :, :10] *= 60  # scores of hundreds: exp of them overflows float32
    a = parts.partial_attention(query, key[:, :, :10], value[:, :, :10], 1.0)
    b = parts.partial_attention(query, key[:, :, 10:], value[:, :, 10:], 1.0)
    want = parts.materialised_attention(query, key, value, 1.0)[0]
    assert torch.allclose(parts.merge(*a, *b), want, atol=1e-6)


def test_refuses_what_it_would_compute_wrongly():
    llm = tiny_llm()
    prefixes = encode(llm, [[3, 4, 5]])
    with pytest.raises(ValueError, match="owners must ascend"):
        SharedPrefixCache(prefixes * 2, [1, 0], [0, 0], 1)
    with attention_of(llm), pytest.raises(ValueError, match="only under forward_rows"):
        llm(input_ids=torch.tensor([[3]]))
    assert llm.config._attn_implementation == "sdpa"


def test_refuses_a_sliding_window_shorter_than_the_prompt():
    from transformers import MistralConfig, MistralForCausalLM

    sizes = dict(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    llm = MistralForCausalLM(MistralConfig(**sizes, sliding_window=8)).eval()
    prefix = PrefixCache.empty(1, 1, 16, torch.float32, "cpu")
    with pytest.raises(ValueError, match="sliding window of 8 is shorter than the prompt .9."):
        forward_rows(llm, SharedPrefixCache([prefix], [0], [0], 9), torch.tensor([[3]]))
    forward_rows(llm, SharedPrefixCache([prefix], [0], [0], 8), torch.tensor([[3]]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_of_a_gpu_agree_with_plain_products(dtype):
    query, key, value = (torch.randn(2, 3, n, 64, device="cuda", dtype=dtype) for n in (7, 40, 40))
    fast = parts.partial_attention(query[:, :, 2:], key, value, 0.125)
    plain = parts.materialised_attention(query[:, :, 2:], key, value, 0.125)
    assert torch.allclose(fast[0], plain[0], atol=2e-2 if dtype == torch.bfloat16 else 1e-5)
    assert torch.allclose(fast[1], plain[1], atol=2e-2 if dtype == torch.bfloat16 else 1e-4)
