"""The built-in tiny model: rebuilt byte for byte, in the published formats, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC
from collavo.modeling.architectures.drawn import draw_tensor
from collavo.modeling.architectures.published import published_shapes
from collavo.modeling.architectures.tiny.__main__ import build
from collavo.modeling.architectures.tiny.checkpoint import CONFIG, RANK
from collavo.modeling.architectures.tiny.corpus import corpus
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer
from collavo.modeling.weights import builtin_weights

COLLAVO_FILES = ("config.json", "model.safetensors", "tokenizer.model")
SEGMENTER_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(built: Path) -> CoLLaVOTokenizer:
    return CoLLaVOTokenizer(built / "collavo")


def _fields(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _pieces(folder: Path) -> list[str]:
    model = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return [model.id_to_piece(i) for i in range(model.vocab_size())]


@pytest.mark.parametrize("name", ["collavo", "base"])
def test_the_shipped_weights_are_trained_in_the_builders_shapes(built: Path, name: str) -> None:
    assets = builtin_weights(name)
    fields = {key: value for key, value in _fields(assets).items() if key != "collavo"}
    assert fields.items() <= _fields(built / "collavo").items()
    assert "untrained" not in _fields(assets).get("collavo", {})
    assert _pieces(assets) == _pieces(built / "collavo")
    tensors = load_file(assets / "model.safetensors")
    drawn = load_file(built / "collavo" / "model.safetensors")
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in drawn.items()}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert all(bool(t.isfinite().all()) for t in tensors.values())
    same = {n for n, t in tensors.items() if torch.equal(t, drawn[n])}
    assert not {n for n in same if "seg" not in n and "post_layernorm" not in n}
    used = [t for n, t in tensors.items() if "Plora_seg_B" in n and "w2" not in n]
    seen_crayons = any(bool(t.any()) for t in used)
    assert seen_crayons == (name == "collavo")  # the backbone has not


def test_the_shipped_files_are_small_and_of_no_other_kind() -> None:
    assets = builtin_weights("collavo").parent
    files = {str(f.relative_to(assets)): f.stat().st_size for f in assets.rglob("*") if f.is_file()}
    expected = {f"{name}/{n}" for name in ("collavo", "base") for n in COLLAVO_FILES}
    expected |= {f"segmenter/{n}" for n in SEGMENTER_FILES}
    assert expected <= set(files)
    assert {Path(f).suffix for f in files} <= {".json", ".safetensors", ".model", ".md"}
    assert sum(files.values()) <= 12e6


def test_the_checkpoint_is_in_the_published_format(built: Path) -> None:
    tensors = load_file(built / "collavo" / "model.safetensors")
    config = _fields(built / "collavo")
    assert {n: tuple(t.shape) for n, t in tensors.items()} == published_shapes(config, RANK)
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert all(bool(t.isfinite().all()) for t in tensors.values())
    assert config["collavo"]["untrained"] is True
    assert 1e6 <= sum(t.numel() for t in tensors.values()) <= 3e6
    vision = CONFIG["vision_config"]
    assert vision["image_size"] // vision["patch_size"] == 16


def test_drawing_depends_on_name_and_seed_alone() -> None:
    one = draw_tensor("a.weight", (3, 4))
    assert torch.equal(one, draw_tensor("a.weight", (3, 4)))
    assert not torch.equal(one, draw_tensor("b.weight", (3, 4)))
    assert not torch.equal(one, draw_tensor("a.weight", (3, 4), seed=1))


def test_the_tokenizer_fits_its_prompts(tokenizer: CoLLaVOTokenizer, built: Path) -> None:
    assert len(tokenizer) == _fields(built / "collavo")["vocab_size"] + 1
    assert tokenizer.turn_end_id == 3
    objects = "The image includes (#1 dog) [0.00, 0.12, 0.94, 1.00]."
    prompt = get_chat_template("collavo").render("Is there a dog in the image?", objects)
    ids = tokenizer.encode(prompt)
    assert len(ids) <= 50
    assert ids.count(tokenizer.image_token_id) == 1
    assert tokenizer.decode(ids) == prompt.replace("<image>", "")
    for answer in ("Yes", "No"):
        assert len(tokenizer.encode(answer, add_bos=False)) == 1
    for name in CLEAN_NAMES:
        words = name.replace("-", " ").split()
        assert len(tokenizer.encode(f" {name}", add_bos=False)) <= 1 + 2 * len(words), name


def test_the_corpus_is_the_same_every_time() -> None:
    assert list(corpus(CLEAN_NAMES, rounds=2)) == list(corpus(CLEAN_NAMES, rounds=2))


def test_transformers_loads_the_segmenter(built: Path) -> None:
    from transformers import Mask2FormerForUniversalSegmentation

    folder = built / "segmenter"
    model = Mask2FormerForUniversalSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    assert [model.config.id2label[i] for i in range(133)] == [c.name for c in COCO_PANOPTIC]
    assert _fields(folder)["collavo"]["untrained"] is True
    assert (folder / "model.safetensors").stat().st_size <= 5e6
    with torch.inference_mode():
        out = model(torch.zeros(1, 3, 224, 224))
    assert out.class_queries_logits.shape == (1, 30, 134)
    assert bool(out.masks_queries_logits.isfinite().all())
