"""A judge on this machine: a tiny language model, saved as Hugging Face models are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from collavo.config import get_cfg
from collavo.datasets.evaluation.judge.build import judge_of
from collavo.datasets.evaluation.judge.calls import Call, JudgeError
from collavo.datasets.evaluation.judge.judge import Ask, Judge
from collavo.datasets.evaluation.judge.local_backend import LocalBackend
from collavo.errors import CheckpointError

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of 96 positions whose words are single characters, and that always replies."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("judge_model")
    words = {"<unk>": 0, "<eos>": 1} | {chr(c): c - 30 for c in range(32, 127)}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token="<unk>", eos_token="<eos>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=96, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    # A call's seed hangs on the model's folder too, and none may sample an empty reply.
    model.generation_config.begin_suppress_tokens = [words[w] for w in ("<unk>", "<eos>", " ")]
    model.save_pretrained(folder)
    return folder


def _ask(item: str, prompt: str = "Is it right?", temperature: float = 0.0) -> Callable[[Ask], str]:
    return lambda ask: ask(Call("test", item, prompt, "Be fair.", temperature, 5)).text


def _judge(model: Path, folder: Path, *overrides: str) -> Judge:
    cfg = get_cfg(overrides=["JUDGE.BACKEND", "hf", "JUDGE.MODEL", str(model), *overrides])
    judge = judge_of(cfg, folder / "judgements.jsonl")
    assert judge is not None and isinstance(judge.backend, LocalBackend)
    return judge


def test_it_answers_and_is_kept_like_any_other(model: Path, tmp_path: Path) -> None:
    items = {f"x:{k}": _ask(f"x:{k}") for k in range(3)}
    first = _judge(model, tmp_path, "DEVICE", "cpu")
    found = first.map("test", items)
    # Greedy: one prompt, one reply, whoever asks; the special tokens are not part of it.
    assert len(set(found.values())) == 1 and 0 < len(found["x:0"]) <= 9
    assert len(first.store) == 3
    again = _judge(model, tmp_path)
    assert again.map("test", items) == found
    assert again.backend._loaded is None, "stored replies need no model"


def test_sampled_replies_hang_on_the_call_alone(model: Path, tmp_path: Path) -> None:
    items = {f"x:{k}": _ask(f"x:{k}", temperature=1.5) for k in range(6)}
    found = _judge(model, tmp_path / "a").map("test", items)
    assert len(set(found.values())) > 1
    last = {"x:5": items["x:5"]}
    assert _judge(model, tmp_path / "b").map("test", last) == {"x:5": found["x:5"]}


def test_a_prompt_without_room_is_a_failure(model: Path, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"the prompt takes \d+ tokens .* the model has 96"):
        _judge(model, tmp_path).map("test", {"x": _ask("x", "word " * 40)})


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"JUDGE.MODEL: .*empty.* cannot be loaded"):
        _judge(tmp_path / "empty", tmp_path).map("test", {"x": _ask("x")})


def test_no_model_no_judge(tmp_path: Path) -> None:
    assert judge_of(get_cfg(), tmp_path / "j.jsonl") is None
