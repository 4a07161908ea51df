"""The benchmark's opponent is the original: it gives the golden cases' tokens."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.throughput.original import OriginalModel


@pytest.fixture(scope="module")
def case(golden):
    return load_file(golden / "collavo_a" / "case.safetensors")


@pytest.fixture(scope="module")
def model(golden):
    return OriginalModel.load(golden / "collavo_a")


@pytest.mark.parametrize(("name", "beams", "new"), [("greedy", 1, 8), ("beam3", 3, 5)])
def test_tokens_are_the_golden_ones(model, case, name, beams, new):
    prompts = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(case["input_ids"], case["attention_mask"], strict=True)
    ]
    generation = {"num_beams": beams, "max_new_tokens": new, "eos_token_id": [2]}
    crayon = case["crayon_semantic"].long(), case["crayon_number"].long()
    got = model.answer(prompts, case["image_uint8"], *crayon, generation, 35 * 35)
    want = case[name][:, -new:].tolist()
    for row, tokens in zip(want, got, strict=True):
        assert row[: len(tokens)] == tokens
    assert model.meter.tokens["prefill"] > len(prompts) * beams * 35 * 35


def test_crayon_changes_the_answer(model, case):
    """A wrong crayon would not be noticed above if it had no effect."""
    semantic = case["crayon_semantic"].long()
    seg = model.crayon(semantic, case["crayon_number"].long())
    other = model.crayon(torch.zeros_like(semantic), torch.zeros_like(semantic))
    assert (seg - other).abs().max() > 0.01
