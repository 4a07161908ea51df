"""The published checkpoint format: in, out, merged as asked, and told from any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.published import DEAD_SEG, published_shapes
from tests.modeling.published_checkpoint import PUBLISHED, RANK, SMALL, load, tensors, write


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
    rules, shapes = model.stored_rules(), published_shapes(PUBLISHED)
    assert set(rules) == set(shapes) and len(rules) == 1268
    unused = {name for name, rule in rules.items() if not rule.targets}
    assert unused == {name for name in shapes if DEAD_SEG in name} and len(unused) == 64
    filled = [target for rule in rules.values() for target in rule.targets]
    parameters = dict(model.named_parameters())
    assert sorted(filled) == sorted(parameters)
    dead = sum(torch.Size(shapes[name]).numel() for name in unused)
    assert sum(p.numel() for p in parameters.values()) + dead == 9_291_962_368
    assert all(p.is_meta for p in parameters.values())


def test_positions_are_interpolated_at_another_image_size(tmp_path: Path) -> None:
    held = tensors()
    model = load(write(tmp_path / "old", held), image_size=56)
    assert model.grid == (4, 4) and model.num_tokens == 16
    images = model.squares(torch.zeros(1, 3, 56, 56, dtype=torch.uint8))
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
    assert load(folder, template="collavo_demo").fingerprint() != first
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
