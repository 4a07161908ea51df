"""The self-check of a shared prefix: causal models pass it in every precision, others do not."""

from __future__ import annotations

import math

import pytest
import torch

from collavo.modeling.architectures.base import ImageContext
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.ops.prefix_cache import PrefixCache
from collavo.modeling.ops.prefix_check import LIMIT, last_layer_apart, noise_limit
from collavo.records import CrayonPrompt
from tests.modeling.test_collavo import CONFIG, each, images, prompts

ROWS = prompts((2, 9), (4, 12), (2, 7))
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def built(dtype: torch.dtype, both_ways: bool = False) -> CoLLaVO:
    torch.manual_seed(0)
    model = CoLLaVO({**CONFIG, "num_hidden_layers": 4}, rank=4, dropout=0.0).eval()
    for layer in model.llm.model.layers:
        layer.self_attn.is_causal = not both_ways
    return model.to(dtype)


def checked(model: CoLLaVO, own: int) -> list:
    """Checks each of three images, whose prompts share all but `own` tokens."""
    visuals, crayon = images(3)
    contexts = model.encode(each(visuals), crayon, [row[:-own] for row in ROWS])
    found = []
    for k, (context, row) in enumerate(zip(contexts, ROWS, strict=True)):
        maps = CrayonPrompt(crayon.semantic[k : k + 1], crayon.number[k : k + 1], [None])
        found.append(model.check_reuse("prefix", context, row[-own:], visuals[k : k + 1], maps))
    return found


@pytest.mark.parametrize("own", [1, 6])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_causal_prefix_passes_and_another_does_not(dtype, own):
    for found in checked(built(dtype), own):
        assert found.passed, found
        if dtype == torch.float32:
            assert found.deviation < 1e-5 and found.limit == LIMIT
    for found in checked(built(dtype, both_ways=True), own):
        assert not found.passed and found.deviation > 0.01, found


def test_a_wrong_crayon_is_found():
    """What lies in the prefix besides the tokens counts."""
    model = built(torch.float32)
    with torch.no_grad():
        for name, weight in model.llm.named_parameters():
            if "crayon" in name or "lora" in name or "up" in name:
                weight.normal_(std=0.2)
    visuals, crayon = images(1)
    context = model.encode(each(visuals), crayon, [ROWS[0][:-3]])[0]
    right = model.check_reuse("prefix", context, ROWS[0][-3:], visuals, crayon)
    other = CrayonPrompt(crayon.semantic + 1, crayon.number, [None])
    wrong = model.check_reuse("prefix", context, ROWS[0][-3:], visuals, other)
    assert right.passed and not wrong.passed


def test_embeddings_of_images_are_nobody_s_to_compare():
    model = built(torch.float32)
    visuals, crayon = images(1)
    context = model.encode(each(visuals), crayon, [ROWS[0][:-3]], "vision")[0]
    assert model.check_reuse("vision", context, ROWS[0][-3:], visuals, crayon) is None


def test_a_prefix_without_image_is_compared_too():
    model = built(torch.float32)
    words = [1, 5, 7, 9, 11]
    context = model.encode([()], None, [words[:3]])[0]
    assert model.check_reuse("prefix", context, words[3:], (), None).passed


def cache(keys: float, values: float, length: int = 2) -> PrefixCache:
    base = torch.tensor([[[-1.0], [1.0], [9.0]]])[:, :length]
    return PrefixCache((base + keys,), (base + values,), length)


@pytest.mark.parametrize(
    ("keys", "values", "apart"),
    [(0.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.0, 2.0, 2.0), (math.nan, 0.0, math.nan),
     (0.0, math.nan, math.nan)],
)  # fmt: skip
def test_the_larger_difference_in_standard_deviations(keys, values, apart):
    found = last_layer_apart(cache(keys, values), cache(0.0, 0.0))
    assert found == pytest.approx(apart, nan_ok=True)


def test_a_longer_prompt_is_cut_and_nothing_is_no_distance():
    whole = cache(0.0, 0.0, 3)
    assert last_layer_apart(cache(0.0, 0.0), whole) == 0.0
    assert last_layer_apart(PrefixCache(whole.keys, whole.values, 0), whole) == 0.0


def test_the_limit_beside_noise():
    eps = torch.finfo(torch.bfloat16).eps
    assert noise_limit(0.0, torch.float32) == LIMIT
    assert noise_limit(0.0, torch.bfloat16) == 8 * eps
    assert noise_limit(0.1, torch.bfloat16) == pytest.approx(0.3)
    assert noise_limit(0.6, torch.bfloat16) == 8 * eps  # a batch that is so far off is no measure
    assert noise_limit(math.nan, torch.bfloat16) == 8 * eps


def test_nothing_is_shared_by_a_state_of_another_kind():
    context = ImageContext((1,), "anything", 1)
    assert built(torch.float32).check_reuse("prefix", context, [2], (), None) is None
