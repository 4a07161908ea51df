"""The whole model with quantised base linears: near the full one, as small as computed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file

from benchmarks.training.plan import PUBLISHED_7B
from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.base import Generation
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.memory import quantised_bytes, weight_bytes
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.weights import builtin_weights
from collavo.records import CrayonPrompt

PUBLISHED = {**PUBLISHED_7B, "rope_scaling": {"factor": 1.0, "type": "dynamic"}}


def _load(bits: int, dtype: str = "fp32") -> CoLLaVO:
    folder = builtin_weights("collavo")
    return CoLLaVO.from_pretrained(folder, bits=bits, dtype=dtype, device="cpu")


@pytest.fixture(scope="module")
def full() -> CoLLaVO:
    return _load(16)


def _inputs(model: CoLLaVO) -> tuple[list[int], list[VisualInput], CrayonPrompt]:
    draw = torch.Generator().manual_seed(0)
    size = (1, 3, model.image_size, model.image_size)
    pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=draw)
    cells = torch.randint(0, 9, (2, 1, *model.grid), generator=draw)
    ids = model.tokenize(model.render("Is there a dog in the image?", None))
    return ids, model.squares(pixels), CrayonPrompt(cells[0], cells[1], [None])


@pytest.mark.parametrize(("bits", "least"), [(4, 0.97), (8, 0.999)])
def test_logits_are_near_and_answers_come(full: CoLLaVO, bits: int, least: float) -> None:
    ids, visuals, crayon = _inputs(full)
    model = _load(bits)
    kinds = {type(linear.base).__name__ for _, linear in plora_linears(model.llm)}
    assert kinds == {"Linear4bit" if bits == 4 else "Linear8bitLt"}
    with torch.inference_mode():
        expected = full(torch.tensor([ids]), visuals, crayon).logits
        found = model(torch.tensor([ids]), visuals, crayon).logits
    alike = torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
    assert least < float(alike) < 1 - 1e-7
    for beams in (1, 3):
        generation = Generation(num_beams=beams, max_new_tokens=4)
        plain = model.generate([ids], [visuals], crayon, generation)
        contexts = model.encode([visuals], crayon, [ids[:-3]])
        assert contexts[0].num_tokens > model.num_tokens
        assert isinstance(plain[0], str)
        assert isinstance(model.answer(contexts, [ids[-3:]], [0], generation)[0], str)


def test_four_bits_answer_the_same_over_a_shared_prefix() -> None:
    model = _load(4)
    ids, visuals, crayon = _inputs(model)
    generation = Generation(num_beams=1, max_new_tokens=4)
    plain = model.generate([ids], [visuals], crayon, generation)
    contexts = model.encode([visuals], crayon, [ids[:-3]])
    assert model.answer(contexts, [ids[-3:]], [0], generation) == plain


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_the_loaded_model_takes_the_bytes_that_were_computed(bits: int) -> None:
    model = _load(bits, "bf16")
    config = json.loads((builtin_weights("collavo") / "config.json").read_text())
    total = 0
    for name, parameter in model.named_parameters():
        base = model.get_submodule(name.rpartition(".")[0])
        if type(base).__name__ in ("Linear4bit", "Linear8bitLt"):
            total += quantised_bytes((base.out_features, base.in_features), bits)
        else:
            total += parameter.numel() * parameter.element_size()
    assert total == weight_bytes(config, bits, "bf16", rank=model.rank)


def test_the_7b_model_on_the_meta_device_takes_the_bytes_that_were_computed() -> None:
    """The real config's modules, none of them with memory: at 4 bits at most 8.0e9 bytes."""
    with init_empty_weights(include_buffers=False):
        model = CoLLaVO(PUBLISHED)
    bases = {id(linear.base.weight) for _, linear in plora_linears(model.llm)}
    assert len(bases) == 32 * 7
    total = 0
    for parameter in model.parameters():
        assert parameter.is_meta
        is_base = id(parameter) in bases
        total += quantised_bytes(tuple(parameter.shape), 4) if is_base else 2 * parameter.numel()
    assert total == weight_bytes(PUBLISHED, 4, "bf16")
    assert total <= 8.0e9


def test_quantised_weights_are_exported_from_their_source(tmp_path: Path) -> None:
    model = _load(4)
    model.save_pretrained(tmp_path / "new")
    old = load_file(builtin_weights("collavo") / "model.safetensors")
    new = load_file(tmp_path / "new" / "model.safetensors")
    assert set(old) == set(new)
    assert all(torch.equal(old[name], new[name]) for name in old)
    model.source = None
    with pytest.raises(CheckpointError, match="quantised"):
        model.save_pretrained(tmp_path / "newer")


def test_without_bitsandbytes_loading_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match="set LLM.BITS to 16"):
        _load(4)


def test_bits_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigError, match="LLM.BITS 2"):
        _load(2)
