"""Models of parts over LLMs and vision towers in the formats that transformers writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from collavo.cli.main import main
from collavo.config import get_cfg
from collavo.engine.models import architecture_of, generation_of, load_model
from collavo.errors import CheckpointError, ConfigError, MissingFileError
from collavo.modeling.adapters.dual_lora import add_adapters
from collavo.modeling.architectures.vlm_folder import llm_config_of

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
WORDS = ["<unk>", "<s>", "</s>", *(chr(k) for k in range(33, 127)), "USER", "ASSISTANT", "yes"]


def write_llm(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    if kind == "qwen2":  # with biases
        llm: Any = Qwen2ForCausalLM(Qwen2Config(**SHAPE))
    else:
        llm = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=kind == "tied"))
    llm.save_pretrained(folder)
    vocabulary = {word: k for k, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tower")
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    return folder


def load(**keys: Any) -> Any:
    given = {"MODEL.NAME": "clip_llm", "DEVICE": "cpu", "GENERATION.MAX_NEW_TOKENS": 4}
    given |= {name.replace("__", "."): value for name, value in keys.items()}
    cfg = get_cfg(overrides=[str(word) for pair in given.items() for word in pair])
    return load_model(cfg).architecture


def logits(model: Any, images: int = 1) -> torch.Tensor:
    shown = [Image.new("RGB", (50 + 9 * k, 40), (200, 30 * k, 60)) for k in range(images)]
    ids = model.tokenize(model.render("Why ?", None, images))
    with torch.no_grad():
        visuals = tuple(model.prepare(image) for image in shown)
        return model(torch.tensor([ids]), visuals).logits


@pytest.mark.parametrize("kind", ["llama", "tied", "qwen2"])
def test_an_llm_and_a_tower_of_transformers_answer_train_and_merge(
    kind: str, tower: Path, tmp_path: Path
) -> None:
    given = {"LLM.WEIGHTS": write_llm(tmp_path / "llm", kind), "VISION.WEIGHTS": tower}
    model = load(**given)
    assert model.grid == (2, 2) and model.untrained
    assert logits(model).shape[1] == len(model.tokenize(model.render("Why ?", None))) + 3
    assert logits(model, 2).shape[1] == logits(model).shape[1] + 4
    assert torch.equal(logits(load(**given)), logits(model)), "drawn alike"
    assert load(**given).fingerprint() == model.fingerprint()
    # as a stage leaves it: one adapter, a trained projector
    add_adapters(model.llm, ("default",), rank=2, alpha=4)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith("projector."))
        if "lora_B" in name or name.startswith("projector."):
            parameter.data.normal_(std=0.1)
    model.save_stage(tmp_path / "stage")
    again = load(MODEL__WEIGHTS=tmp_path / "stage")
    assert torch.equal(logits(again), logits(model)) and not again.untrained
    kind_of = architecture_of(get_cfg(overrides=["MODEL.NAME", "clip_llm"]))
    done = kind_of.merge_stage(tmp_path / "stage", tmp_path / "whole", torch.float32)
    assert done.adapters == ("default",) and done.trained == 4
    whole = load(MODEL__WEIGHTS=tmp_path / "whole")
    torch.testing.assert_close(logits(whole), logits(model), atol=1e-5, rtol=1e-5)
    if kind == "tied":
        assert whole.llm.lm_head.weight is whole.llm.get_input_embeddings().weight
    # on a merged base a second stage can be trained
    whole.projector.requires_grad_(True)
    whole.save_stage(tmp_path / "second")
    second = load(MODEL__WEIGHTS=tmp_path / "second")
    assert torch.equal(logits(second), logits(whole))


def test_a_file_of_configs_models_is_a_model_of_every_command(
    tower: Path, tmp_path: Path, no_root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = write_llm(tmp_path / "llm", "llama")
    given = {
        "MODEL.NAME": "clip_llm",
        "LLM.WEIGHTS": llm,
        "VISION.WEIGHTS": tower,
        "DATASETS.TEST": "pope_test",
        "EVAL.LIMIT": 4,
        "GENERATION.MAX_NEW_TOKENS": 2,
        "SAVE_DIR": tmp_path / "runs",
        "DEVICE": "cpu",
    }
    assert main(["eval", "--overrides", *(str(w) for pair in given.items() for w in pair)]) == 0
    (results,) = (tmp_path / "runs").glob("*/*/results.json")
    found = json.loads(results.read_text())
    assert found["model"]["name"] == "clip_llm" and found["flags"]["untrained"]
    assert found["config"]["GENERATION"]["NUM_BEAMS"] == 1, "as the file says"
    capsys.readouterr()
    assert main(["eval", "--overrides", "MODEL.NAME", "clip_lm", "DATASETS.TEST", "pope_test"]) == 2
    assert "Unknown model 'clip_lm'. Did you mean: clip_llm" in capsys.readouterr().err


@pytest.mark.parametrize("bits", [4, 8])
def test_its_linears_are_quantised(bits: int, tower: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    given = {"LLM.WEIGHTS": write_llm(tmp_path / "llm", "llama"), "VISION.WEIGHTS": tower}
    plain, model = load(**given), load(**given, LLM__BITS=bits)
    assert torch.equal(model.projector.layers[0].weight, plain.projector.layers[0].weight)
    kinds = {type(m).__name__ for n, m in model.llm.named_modules() if n.endswith("_proj")}
    assert kinds == {"Linear4bit" if bits == 4 else "Linear8bitLt"}
    assert type(model.llm.lm_head) is torch.nn.Linear
    assert model.fingerprint() != plain.fingerprint()
    torch.testing.assert_close(logits(model), logits(plain), atol=0.2, rtol=1.0)


def test_the_shared_prefix_answers_as_nothing_shared_does(tower: Path, tmp_path: Path) -> None:
    model = load(LLM__WEIGHTS=write_llm(tmp_path / "llm", "qwen2"), VISION__WEIGHTS=tower)
    cfg = get_cfg(overrides=["GENERATION.MAX_NEW_TOKENS", 5, "GENERATION.NUM_BEAMS", 2])
    visual = model.prepare(Image.new("RGB", (40, 60), (9, 200, 30)))
    prompts = [model.tokenize(model.render(text, None)) for text in ("a b", "a c d", "e")]
    shared = prompts[0].index(model.image_token_id) + 1
    assert len({tuple(p[:shared]) for p in prompts}) == 1
    contexts = model.encode([(visual,)], None, [prompts[0][:shared]])
    suffixes = [p[shared:] for p in prompts]
    generation = generation_of(cfg)
    assert model.answer(contexts, suffixes, [0, 0, 0], generation) == model.generate(
        prompts, [(visual,)] * 3, None, generation
    )


@pytest.mark.parametrize(
    ("keys", "kind", "said"),
    [
        (
            {"LLM.WEIGHTS": ""},
            ConfigError,
            "LLM.WEIGHTS is empty, and the built-in LLM is no 'hf_c",
        ),
        ({"LLM.WEIGHTS": "{tower}"}, CheckpointError, "LLM.WEIGHTS: {tower} cannot be loaded"),
        ({"LLM.WEIGHTS": "{tmp}"}, MissingFileError, "LLM.WEIGHTS: {tmp} lacks config.json"),
        ({"MODEL.LLM": "internlm2"}, CheckpointError, "tokenizer.model"),
        ({"MODEL.WEIGHTS": "{llm}"}, CheckpointError, "an LLM goes to LLM.WEIGHTS"),
        (
            {"VISION.WEIGHTS": "{llm}"},
            CheckpointError,
            "VISION.WEIGHTS: {llm} lacks 39 tensors of a CLIPV",
        ),
    ],
)
def test_folders_of_something_else_are_refused_in_words(
    keys: dict[str, str], kind: type[Exception], said: str, tower: Path, tmp_path: Path
) -> None:
    llm = write_llm(tmp_path / "llm", "llama")
    places = {"tower": tower, "llm": llm, "tmp": tmp_path}
    given = {"LLM.WEIGHTS": "{llm}", "VISION.WEIGHTS": "{tower}", **keys}
    with pytest.raises(ValueError) as told:
        load(**{key: value.format(**places) for key, value in given.items()})
    assert said.format(**places) in str(told.value)


def test_absurd_sizes_of_an_llm_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 10**12}))
    with pytest.raises(CheckpointError, match="num_hidden_layers is 1000000000000; it may be 4096"):
        llm_config_of(tmp_path)
