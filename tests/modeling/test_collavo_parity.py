"""The model against numbers of the original implementation (tests/golden/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.architectures.base import Generation
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.ops.parity_model import compare, prompts_of, read_case, wanted_tokens
from collavo.modeling.ops.shared_attention import forward_rows
from collavo.modeling.ops.shared_prefix import SharedPrefixCache
from collavo.records import CrayonPrompt

CASE = ("collavo_a", "case.safetensors")


@pytest.fixture(scope="module")
def model(golden: Path) -> CoLLaVO:
    return CoLLaVO.from_pretrained(golden / "collavo_a", device="cpu", stop="original")


@pytest.fixture(scope="module")
def case(golden: Path) -> dict[str, torch.Tensor]:
    return read_case(golden.joinpath(*CASE))


def crayon_of(case: dict[str, torch.Tensor]) -> CrayonPrompt:
    maps = (case["crayon_semantic"].long(), case["crayon_number"].long())
    return CrayonPrompt(*maps, [None] * len(maps[0]))


def visuals_of(model: CoLLaVO, case: dict[str, torch.Tensor]) -> list[tuple[VisualInput, ...]]:
    return [(visual,) for visual in model.squares(case["image_uint8"])]


def test_logits_and_tokens_are_the_original_s(golden: Path) -> None:
    found = compare(golden / "collavo_a", golden.joinpath(*CASE))
    assert found.pop("greedy_equal") is True and found.pop("beam3_equal") is True
    assert set(found) == {
        "max_abs_diff_last_logits",
        "max_abs_diff_text_logits",
        "max_abs_diff_mean_abs_logits",
    }
    assert all(0 <= value < 1e-4 for value in found.values()), found


@pytest.mark.parametrize("cut", [1, 7])
@pytest.mark.parametrize("reuse", ["prefix", "vision"])
def test_encoded_images_give_the_original_s_tokens(
    model: CoLLaVO, case: dict[str, torch.Tensor], cut: int, reuse: str
) -> None:
    """Right-padded prefixes in one batch, merged image weights, both searches."""
    prompts = prompts_of(case)
    assert model.merges_images
    contexts = model.encode(
        visuals_of(model, case), crayon_of(case), [p[:-cut] for p in prompts], reuse
    )
    for name, beams in (("greedy", 1), ("beam3", 3)):
        new = case[name].shape[1] - case["input_ids"].shape[1]
        generation = Generation(num_beams=beams, max_new_tokens=new, stop="original")
        with torch.no_grad():
            found = model.answer_ids(contexts, [p[-cut:] for p in prompts], [0, 1], generation)
        assert found == wanted_tokens(case, name, {2})


def test_prefix_keys_are_those_of_the_whole_forward_pass(
    model: CoLLaVO, case: dict[str, torch.Tensor]
) -> None:
    """The shared prefix's logits at the last position are the original's within 1e-4."""
    prompts = prompts_of(case)
    contexts = model.encode(visuals_of(model, case), crayon_of(case), [p[:-1] for p in prompts])
    cache = SharedPrefixCache([c.cache for c in contexts], [0, 1], [0, 0], 1)
    with torch.no_grad():
        logits = forward_rows(model.llm, cache, torch.tensor([[p[-1]] for p in prompts]))
    assert float((logits[:, -1] - case["last_logits"]).abs().max()) < 1e-4
    assert [c.num_tokens for c in contexts] == [len(p) - 2 + 1225 for p in prompts]
    assert [c.prefix_ids for c in contexts] == [tuple(p[:-1]) for p in prompts]
    assert all(c.nbytes >= 3 * 2 * 2 * 16 * 4 * c.num_tokens for c in contexts)


def test_the_maps_and_the_images_matter(model: CoLLaVO, case: dict[str, torch.Tensor]) -> None:
    """A comparison that ignored its inputs would pass the tests above on one case only."""
    ids, mask = case["input_ids"], case["attention_mask"]
    images = model.squares(case["image_uint8"])
    crayon = crayon_of(case)
    empty = CrayonPrompt(torch.zeros_like(crayon.semantic), torch.zeros_like(crayon.number), [])
    with torch.no_grad():
        for given in (None, empty, CrayonPrompt(crayon.semantic, empty.number, [])):
            logits = model(ids, images, given, mask, logits_to_keep=1).logits
            assert float((logits[:, -1] - case["last_logits"]).abs().max()) > 1e-3
        other = model(ids, images[::-1], crayon, mask, logits_to_keep=1).logits
    assert float((other[:, -1] - case["last_logits"]).abs().max()) > 1e-3


def test_a_changed_case_does_not_pass(golden: Path, tmp_path: Path) -> None:
    tensors = load_file(golden.joinpath(*CASE))
    tensors["last_logits"] = tensors["last_logits"] + 0.01
    tensors["greedy"][1, -1] += 1
    save_file(tensors, tmp_path / "case.safetensors")
    found = compare(golden / "collavo_a", tmp_path / "case.safetensors")
    assert found["max_abs_diff_last_logits"] > 0.009
    assert found["greedy_equal"] is False and found["beam3_equal"] is True


def test_cases_that_are_none_are_named(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no case at"):
        compare(golden / "collavo_a", tmp_path / "nowhere.safetensors")
    save_file({"greedy": torch.zeros(1)}, tmp_path / "half.safetensors")
    with pytest.raises(CheckpointError, match="lacks input_ids, attention_mask"):
        compare(golden / "collavo_a", tmp_path / "half.safetensors")
    (tmp_path / "text.safetensors").write_text("{}")
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        compare(golden / "collavo_a", tmp_path / "text.safetensors")
