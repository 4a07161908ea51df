"""Decoding over shared prefixes gives the tokens of transformers' generate."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
)

from collavo.modeling.architectures.base import Generation
from collavo.modeling.ops import decoding
from collavo.modeling.ops.decoding import generate_shared, score_options
from collavo.modeling.ops.prefix_cache import PrefixCache

VOCAB = 60


def tiny_llm(seed: int):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.15,
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def encode(llm, prefixes):
    lengths = [len(ids) for ids in prefixes]
    padded = torch.tensor([ids + [0] * (max(lengths) - len(ids)) for ids in prefixes])
    cache = DynamicCache(config=llm.config)
    llm(input_ids=padded, past_key_values=cache, logits_to_keep=1)
    return PrefixCache.split(cache, lengths)


def case(seed: int, questions: int = 7):
    """Two to four images with prefixes of 5 to 30 tokens, and questions of 1 to 9."""
    g = torch.Generator().manual_seed(seed)

    def number(low, high):
        return int(torch.randint(low, high, (), generator=g))

    def draw(length):
        return torch.randint(3, VOCAB, (length,), generator=g).tolist()

    prefixes = [draw(number(5, 31)) for _ in range(number(2, 5))]
    owners = [number(0, len(prefixes)) for _ in range(questions)]
    return prefixes, [draw(number(1, 10)) for _ in owners], owners


@torch.no_grad()
def reference(llm, prompt, eos, **options):
    """The answer of transformers to one whole prompt, up to its first end token."""
    ids = torch.tensor([prompt])
    out = llm.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        eos_token_id=list(eos) or None,
        pad_token_id=0,
        do_sample=False,
        early_stopping=False,
        **options,
    )[0, len(prompt) :].tolist()
    ends = [i for i, token in enumerate(out) if token in eos]
    return out[: ends[0] + 1] if ends else out


def ends(seed: int, count: int) -> list[int]:
    """End tokens; with a third of the vocabulary most answers end early."""
    g = torch.Generator().manual_seed(seed + 1000)
    return torch.randperm(VOCAB, generator=g)[:count].tolist()


@pytest.mark.parametrize("beams", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_tokens_equal_those_of_generate(beams, seed):
    llm = tiny_llm(seed)
    prefixes, suffixes, owners = case(seed)
    eos = ends(seed, [1, 2, 8, 20][seed % 4])
    penalty = [1.0, 0.0, 2.0, -1.0][seed // 2 % 4]
    limit = [1, 5, 12, 7][(seed + beams) % 4]
    generation = Generation(num_beams=beams, max_new_tokens=limit, length_penalty=penalty)
    got = generate_shared(llm, encode(llm, prefixes), suffixes, owners, generation, eos)
    options = {"max_new_tokens": limit, "num_beams": beams}
    if beams > 1:
        options["length_penalty"] = penalty
    for suffix, owner, tokens in zip(suffixes, owners, got, strict=True):
        assert tokens == reference(llm, prefixes[owner] + suffix, eos, **options)


def test_answers_differ_and_beams_matter():
    """The cases above would prove little on a model that says one thing."""
    greedy, beams, early = set(), set(), 0
    for seed in range(8):
        llm = tiny_llm(seed)
        prefixes, suffixes, owners = case(seed)
        contexts, eos = encode(llm, prefixes), ends(seed, 8)
        for count, kept in ((1, greedy), (3, beams)):
            generation = Generation(num_beams=count, max_new_tokens=8)
            answers = generate_shared(llm, contexts, suffixes, owners, generation, eos)
            kept.update((seed, i, *tokens) for i, tokens in enumerate(answers))
            early += sum(len(tokens) < 8 for tokens in answers)
    assert len(greedy - beams) > 5
    assert 10 < early < 100


@pytest.mark.parametrize("beams", [1, 3])
def test_any_batching_gives_the_same_tokens(beams):
    llm = tiny_llm(5)
    prefixes, suffixes, owners = case(5, questions=12)
    contexts, eos = encode(llm, prefixes), ends(5, 6)
    generation = Generation(num_beams=beams, max_new_tokens=9)

    def answer(places):
        chosen = [suffixes[i] for i in places], [owners[i] for i in places]
        return generate_shared(llm, contexts, *chosen, generation, eos)

    together = answer(range(12))
    backwards = answer(range(11, -1, -1))[::-1]
    alone = [answer([i])[0] for i in range(12)]
    assert together == backwards == alone


def test_compaction_and_chunks_change_nothing(monkeypatch):
    llm = tiny_llm(2)
    prefixes, suffixes, owners = case(2, questions=14)
    contexts, eos = encode(llm, prefixes), ends(2, 15)
    results = []
    for compact_at, chunk, look in ((0.75, 192, 1), (0.0, 192, 1), (1.0, 1, 1), (0.9, 8, 3)):
        monkeypatch.setattr(decoding, "_COMPACT_AT", compact_at)
        monkeypatch.setattr(decoding, "_CHUNK_TOKENS", {"cpu": chunk})
        monkeypatch.setattr(decoding, "_LOOK_EVERY", {"cpu": look})
        for beams in (1, 3):
            generation = Generation(num_beams=beams, max_new_tokens=10)
            got = generate_shared(llm, contexts, suffixes, owners, generation, eos)
            results.append((beams, got))
    assert all(got == results[beams // 2][1] for beams, got in results)


@pytest.mark.parametrize("config", [MistralConfig, Qwen2Config])
def test_other_decoders(config):
    torch.manual_seed(0)
    llm = AutoModelForCausalLM.from_config(
        config(
            vocab_size=VOCAB,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.15,
            head_dim=16,
        )
    ).eval()
    prefixes, suffixes, owners = case(0)
    generation = Generation(num_beams=3, max_new_tokens=6)
    got = generate_shared(llm, encode(llm, prefixes), suffixes, owners, generation, [4])
    for suffix, owner, tokens in zip(suffixes, owners, got, strict=True):
        prompt = prefixes[owner] + suffix
        assert tokens == reference(llm, prompt, [4], max_new_tokens=6, num_beams=3)


@pytest.mark.parametrize("beams", [1, 3])
def test_sampling_depends_on_the_key_alone(beams):
    llm = tiny_llm(1)
    prefixes, suffixes, owners = case(1, questions=9)
    contexts = encode(llm, prefixes)

    def answer(places, keys, seed=0):
        generation = Generation(
            num_beams=beams,
            max_new_tokens=6,
            do_sample=True,
            temperature=1.3,
            top_p=0.95,
            seed=seed,
        )
        chosen = [suffixes[i] for i in places], [owners[i] for i in places]
        return generate_shared(llm, contexts, *chosen, generation, [4], [keys[i] for i in places])

    keys = [f"q{i}" for i in range(9)]
    together = answer(range(9), keys)
    assert together == answer(range(8, -1, -1), keys)[::-1]
    assert together == [answer([i], keys)[0] for i in range(9)]
    assert together != answer(range(9), [f"r{i}" for i in range(9)])
    assert together != answer(range(9), keys, seed=1)


def test_samples_follow_the_distribution_inside_the_nucleus():
    from collavo.modeling.ops.sampling import Sampler

    generation = Generation(num_beams=1, do_sample=True, temperature=0.5, top_p=0.9)
    sampler = Sampler(generation, [str(i) for i in range(4000)])
    logits = torch.tensor([1.0, 0.8, 0.3, -1.0]).expand(4000, 4)
    drawn = sampler.draw(logits, range(4000), 0)
    warped = torch.tensor([2.0, 1.6, 0.6, -2.0]).softmax(0)
    nucleus = warped[:3] / warped[:3].sum()  # the last lies in the tail of 10 %
    share = torch.bincount(drawn, minlength=4) / 4000
    assert share[3] == 0
    assert (share[:3] - nucleus).abs().max() < 0.03


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"top_p": 1.5}, r"top_p must lie in \(0, 1\], got 1.5"),
    ],
)
def test_wrong_sampling_settings_are_named(change, message):
    llm = tiny_llm(0)
    generation = Generation(num_beams=1, do_sample=True, **change)
    with pytest.raises(ValueError, match=message):
        generate_shared(llm, encode(llm, [[5, 6]]), [[7]], [0], generation, [2])


def test_an_empty_question_is_named():
    llm = tiny_llm(0)
    with pytest.raises(ValueError, match="no token after its prefix"):
        generate_shared(llm, encode(llm, [[5, 6]]), [[]], [0], Generation(), [2])


def test_no_questions_no_answers():
    assert generate_shared(tiny_llm(0), [], [], [], Generation(), [2]) == []


@torch.no_grad()
def test_option_scores_equal_those_of_whole_prompts():
    llm = tiny_llm(4)
    prefixes, suffixes, owners = case(4)
    options = [[[3], [4, 5, 6], [7, 8]], [[9], [10]]] * 3 + [[[11, 12, 13, 14]]]
    got = score_options(llm, encode(llm, prefixes), suffixes, owners, options)
    for suffix, owner, choices, scores in zip(suffixes, owners, options, got, strict=True):
        prompt = prefixes[owner] + suffix
        for ids, (total, mean) in zip(choices, scores, strict=True):
            logits = llm(input_ids=torch.tensor([prompt + ids])).logits[0]
            log_probs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            want = log_probs.gather(1, torch.tensor(ids)[:, None]).sum().item()
            assert total == pytest.approx(want, abs=1e-4)
            assert mean == pytest.approx(want / len(ids), abs=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("beams", [1, 3])
def test_a_gpu_gives_the_tokens_of_the_cpu(beams):
    llm = tiny_llm(3)
    prefixes, suffixes, owners = case(3, questions=11)
    generation, eos = Generation(num_beams=beams, max_new_tokens=12), ends(3, 6)
    want = generate_shared(llm, encode(llm, prefixes), suffixes, owners, generation, eos)
    contexts = [context.to("cuda") for context in encode(llm, prefixes)]
    got = generate_shared(llm.to("cuda"), contexts, suffixes, owners, generation, eos)
    assert got == want
