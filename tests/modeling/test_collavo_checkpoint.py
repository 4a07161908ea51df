"""The published checkpoint format: in, out, and everything that can be wrong with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from collavo.config import get_cfg
from collavo.errors import CheckpointError, ConfigError, MissingFileError
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.collavo_loading import rules_of
from collavo.modeling.architectures.published import DEAD_SEG, published_shapes

PUBLISHED = {
    "hidden_size": 4096,
    "img_size": 490,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 1.0, "type": "dynamic"},
    "rope_theta": 1000000,
    "vocab_size": 92544,
}
SMALL = {
    **PUBLISHED,
    "hidden_size": 24,
    "intermediate_size": 20,
    "max_position_embeddings": 64,
    "num_attention_heads": 6,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 30,
    "vision_config": {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}
RANK = 3


def tensors(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = published_shapes(SMALL, RANK)
    return {n: torch.randn(s, generator=draw).to(dtype) for n, s in shapes.items()}


def write(folder: Path, held: dict[str, torch.Tensor], shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SMALL))
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}')
    if shards == 1:
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = dict(list(held.items())[i::shards])
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def load(folder: Path, **options: object) -> CoLLaVO:
    return CoLLaVO.from_pretrained(folder, device="cpu", **options)


def same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    raw = (a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*raw)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("stored", "loaded"),
    [
        (torch.float32, "fp32"),
        (torch.bfloat16, "bf16"),
        (torch.float16, "fp32"),
        (torch.float32, "bf16"),
    ],
)
def test_export_is_byte_equal_tensor_by_tensor(
    tmp_path: Path, shards: int, stored: torch.dtype, loaded: str
) -> None:
    held = tensors(stored)
    source = write(tmp_path / "old", held, shards)
    load(source, dtype=loaded).save_pretrained(tmp_path / "new")
    found: dict[str, torch.Tensor] = {}
    for file in (tmp_path / "new").glob("*.safetensors"):
        assert (source / file.name).is_file()
        found |= load_file(file)
        with safe_open(file, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}
    assert set(found) == set(held)
    assert all(same_bytes(found[name], held[name]) for name in held)
    assert (tmp_path / "new" / "config.json").read_text() == json.dumps(SMALL)
    assert (tmp_path / "new" / "generation_config.json").is_file()
    assert load(tmp_path / "new").rank == RANK


def test_what_was_trained_is_exported(tmp_path: Path) -> None:
    source = write(tmp_path / "old", tensors())
    model = load(source)
    linear = model.llm.get_submodule("model.layers.1.self_attn.k_proj")
    with torch.no_grad():
        linear.up.weight.add_(1)
    model.save_pretrained(tmp_path / "new")
    old, new = tensors(), load_file(tmp_path / "new" / "model.safetensors")
    changed = [name for name in old if not same_bytes(old[name], new[name])]
    assert changed == ["model.layers.1.attention.wqkv.Plora_B.weight"]
    rows = (old[changed[0]] != new[changed[0]]).any(1).nonzero().flatten().tolist()
    assert rows == [*range(12, 16), *range(32, 36)]  # the key's rows of both groups
    with pytest.raises(CheckpointError, match="export elsewhere"):
        model.save_pretrained(source)


def test_a_model_from_no_checkpoint_is_exported_and_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CoLLaVO(SMALL, RANK)
    model.save_pretrained(tmp_path)
    again = load(tmp_path)
    held = dict(again.named_parameters())
    assert all(torch.equal(p, held[n]) for n, p in model.named_parameters())
    assert not any(p.requires_grad for p in again.parameters()) and not again.training
    with pytest.raises(CheckpointError, match="came from no checkpoint"):
        model.fingerprint()


def test_every_tensor_has_its_place_at_the_published_size() -> None:
    with init_empty_weights(include_buffers=False):
        model = CoLLaVO(PUBLISHED)
    rules, shapes = rules_of(model), published_shapes(PUBLISHED)
    assert set(rules) == set(shapes) and len(rules) == 1268
    unused = {name for name, rule in rules.items() if not rule.targets}
    assert unused == {name for name in shapes if DEAD_SEG in name} and len(unused) == 64
    filled = [target for rule in rules.values() for target in rule.targets]
    parameters = dict(model.named_parameters())
    assert sorted(filled) == sorted(parameters)
    dead = sum(torch.Size(shapes[name]).numel() for name in unused)
    assert sum(p.numel() for p in parameters.values()) + dead == 9_291_962_368
    assert all(p.is_meta for p in parameters.values())


def test_all_that_is_wrong_is_listed(tmp_path: Path) -> None:
    held = tensors()
    del held["model.layers.0.attention.wo.Plora_B.weight"]
    del held["model.layers.1.feed_forward.w2.Plora_seg_A.weight"]
    held["model.layers.2.attention_norm.weight"] = torch.zeros(24)
    held["output.weight"] = torch.zeros(31, 24)
    with pytest.raises(CheckpointError) as caught:
        load(write(tmp_path, held))
    message = str(caught.value)
    assert "2 missing: model.layers.0.attention.wo.Plora_B.weight" in message
    assert "model.layers.1.feed_forward.w2.Plora_seg_A.weight" in message
    assert "1 unexpected: model.layers.2.attention_norm.weight" in message
    assert "1 misshapen: output.weight is (31, 24), not (30, 24)" in message


def test_one_odd_rank_is_named_as_such(tmp_path: Path) -> None:
    held = tensors()
    name = "model.layers.0.attention.wqkv.Plora_A.weight"
    held[name] = held[name][:-1].clone()
    with pytest.raises(CheckpointError, match=rf"1 misshapen: {re.escape(name)} is \(\d+, 24\)"):
        load(write(tmp_path, held))


def test_a_run_needs_the_tokenizer_and_says_so_before_loading(tmp_path: Path) -> None:
    folder = write(tmp_path, tensors())
    cfg = get_cfg(config_overrides={"RESUME_FROM": str(folder)})
    with pytest.raises(MissingFileError, match="RESUME_FROM: .* lacks tokenizer.model"):
        CoLLaVO.from_config(cfg)


def test_a_plain_llm_is_no_collavo(tmp_path: Path) -> None:
    held = {"model.tok_embeddings.weight": torch.zeros(31, 24)}
    with pytest.raises(CheckpointError, match=r"\d+ missing: .* more"):
        load(write(tmp_path, held))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, tensors(), shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="lacks the shards model-00002-of-00003.safetensors"):
        load(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, tensors(), shards=2)
    files = sorted(folder.glob("*.safetensors"))
    name, tensor = next(iter(load_file(files[0]).items()))
    save_file({**load_file(files[1]), name: tensor}, files[1])
    with pytest.raises(CheckpointError, match=f"{name} is in {files[0].name} and {files[1].name}"):
        load(folder)


def test_a_cut_shard_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, tensors())
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="model.safetensors is damaged .* fetch it again"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_refused_with_advice(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(CheckpointError, match=f"{name}.*save the checkpoint as .*safetensors"):
        load(tmp_path)


def test_files_that_lack_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="lacks config.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{not json")
    save_file(tensors(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="config.json is no JSON"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="holds no JSON object"):
        load(tmp_path)


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    held = {name: tensor.to(torch.int8) for name, tensor in tensors().items()}
    with pytest.raises(CheckpointError, match="tensors of type I8"):
        load(write(tmp_path, held))


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path, golden: Path) -> None:
    folder = write(tmp_path, tensors())
    source = golden / "tokenizer_a" / "tokenizer.model"
    (folder / "tokenizer.model").write_bytes(source.read_bytes())
    with pytest.raises(CheckpointError, match="has 420 pieces, but config.json says vocab_size 30"):
        load(folder)


def test_positions_are_interpolated_at_another_image_size(tmp_path: Path) -> None:
    held = tensors()
    model = load(write(tmp_path / "old", held), image_size=56)
    assert model.grid == (4, 4) and model.num_tokens == 16
    images = torch.zeros(1, 3, 56, 56, dtype=torch.uint8)
    with torch.no_grad():
        assert model(torch.tensor([[1, 30, 4]]), images).logits.shape == (1, 18, 30)
    model.save_pretrained(tmp_path / "new")
    new = load_file(tmp_path / "new" / "model.safetensors")
    assert all(same_bytes(held[name], new[name]) for name in held)


@pytest.mark.parametrize(
    ("dtype", "merge", "merges"),
    [
        ("fp32", "auto", True),
        ("fp32", "off", False),
        ("bf16", "auto", False),
        ("bf16", "on", True),
    ],
)
def test_image_weights_are_merged_as_asked(
    tmp_path: Path, dtype: str, merge: str, merges: bool
) -> None:
    folder = write(tmp_path, tensors(torch.float32))
    model = load(folder, dtype=dtype, merge=merge)
    assert model.merges_images is merges
    other = load(folder, dtype=dtype, merge="off" if merges else "on")
    assert other.merges_images is not merges and other.fingerprint() != model.fingerprint()


def test_quantised_weights_are_not_merged(tmp_path: Path) -> None:
    folder = write(tmp_path, tensors(torch.float32))
    assert not load(folder, bits=4, dtype="fp32").merges_images
    with pytest.raises(ConfigError, match="LLM.MERGE on needs plain weights, but LLM.BITS is 4"):
        load(folder, bits=4, merge="on")


def test_the_fingerprint_covers_content_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "model", tensors())
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    first = load(folder).fingerprint()
    assert load(folder).fingerprint() == first
    other = write(tmp_path / "elsewhere", tensors())
    assert load(other).fingerprint() == first
    assert load(folder, dtype="bf16").fingerprint() != first
    assert load(folder, bits=4).fingerprint() != first
    assert load(folder, template="demo").fingerprint() != first
    held = tensors()
    held["model.norm.weight"][0] += 1
    write(folder, held)
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))  # same path, size and time
    assert load(folder).fingerprint() != first


def test_digests_are_kept_while_a_file_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collavo.modeling.checkpoints import digest

    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digest, "_SETTLED_S", -1.0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = digest.file_digest(file)
    kept = list((tmp_path / "cache" / "digests").iterdir())
    assert len(kept) == 1 and kept[0].read_text().strip() == first
    kept[0].write_text("0" * 64)
    assert digest.file_digest(file) == "0" * 64
    kept[0].write_text("rubbish")
    assert digest.file_digest(file) == first
    file.write_bytes(b"two")
    assert digest.file_digest(file) != first


MEASURE = """
import sys, torch
import collavo.modeling.architectures.collavo as collavo
def memory(key):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(l for l in lines if l.startswith(key)).split()[1]) * 1024
before = memory("VmRSS")
model = collavo.CoLLaVO.from_pretrained(sys.argv[1], device="cpu", dtype=sys.argv[2])
size = sum(p.nbytes for p in model.parameters())
print((memory("VmHWM") - before) / size, size)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_loading_holds_no_second_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    """One file of 240 MB: its pages must not stay while the model fills up beside them."""
    sizes = {"hidden_size": 480, "intermediate_size": 2400, "num_hidden_layers": 14}
    config = {**SMALL, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    held = {n: torch.zeros(s) for n, s in published_shapes(config, RANK).items()}
    save_file(held, tmp_path / "model.safetensors")
    monkeypatch.setenv("PYTHONPATH", str(repository))
    command = [sys.executable, "-c", MEASURE, str(tmp_path), "fp32"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository)
    share, size = map(float, done.stdout.split())
    assert size > 2.3e8
    assert share < 1.5
