"""Checkpoints by folder or hub id: what is found, what is refused, what the digest covers."""

from __future__ import annotations

import json
import os

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.weights import (
    HUB_PATTERNS,
    builtin_weights,
    resolve_config,
    resolve_weights,
    weight_files,
    weights_digest,
)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "checkpoint"
    path.mkdir()
    (path / "config.json").write_text("{}")
    save_file({"a": torch.ones(3)}, path / "model.safetensors")
    return path


def shard(folder) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    save_file({"b": torch.ones(2)}, folder / "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_folder(folder):
    assert resolve_weights(str(folder)) == folder
    assert weight_files(folder) == [folder / "model.safetensors"]
    assert resolve_config(str(folder)) == folder / "config.json"


def test_built_in_checkpoints_are_complete():
    for name in ("collavo", "segmenter"):
        assert resolve_weights(str(builtin_weights(name))) == builtin_weights(name)


def test_shards(folder):
    shard(folder)
    assert [f.name for f in weight_files(folder)] == ["model-1.safetensors", "model-2.safetensors"]
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks the shards model-2.safetensors"):
        resolve_weights(str(folder))
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        resolve_weights(str(folder))


def test_what_is_not_there(folder, tmp_path):
    with pytest.raises(MissingFileError, match=r"RESUME_FROM '/no/such': there is no such folder"):
        resolve_weights("/no/such", key="RESUME_FROM")
    with pytest.raises(MissingFileError, match=r"lacks tokenizer.model, vocab.json"):
        resolve_weights(str(folder), files=("config.json", "tokenizer.model", "vocab.json"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingFileError, match=r"has no \*.safetensors"):
        resolve_weights(str(folder))
    with pytest.raises(MissingFileError, match=r"lacks config.json"):
        resolve_config(str(tmp_path))


def test_a_file_is_no_folder(folder):
    with pytest.raises(MissingFileError, match="is a file; give the folder"):
        resolve_weights(str(folder / "config.json"))


def test_pickles_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pickled weights only \(pytorch_model.bin\)"):
        resolve_weights(str(folder))


def test_a_hub_id_is_fetched(folder, monkeypatch):
    asked = []

    def download(name, revision=None, allow_patterns=()):
        asked.append((name, revision, tuple(allow_patterns)))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_weights("owner/name", "v2") == folder
    assert resolve_config("owner/name") == folder / "config.json"
    assert asked == [("owner/name", "v2", HUB_PATTERNS), ("owner/name", None, ("config.json",))]
    assert not any("bin" in p or "pt" in p or "py" in p for p in HUB_PATTERNS)


def test_a_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _unreachable)
    with pytest.raises(MissingFileError) as caught:
        resolve_weights("owner/name", "v2", ("config.json", "tokenizer.model"), "MODEL.WEIGHTS")
    for part in ("MODEL.WEIGHTS 'owner/name'", "'v2'", "tokenizer.model", "*.safetensors", "hub"):
        assert part in str(caught.value)


def _unreachable(*_, **__):
    raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")


def test_the_digest_covers_every_byte(folder):
    first = weights_digest(folder)
    path = folder / "model.safetensors"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)
    second = weights_digest(folder)
    (folder / "config.json").write_text('{"a": 1}')
    assert len({first, second, weights_digest(folder)}) == 3
    shard(folder)
    assert weights_digest(folder) not in (first, second)


def test_blobs_of_the_hubs_cache_are_not_read_again(folder, tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    blob = blobs / ("ab" * 32)
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    named = weights_digest(folder)
    blob.write_bytes(b"not read")
    assert weights_digest(folder) == named
    blob.rename(blobs / ("cd" * 32))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(blobs / ("cd" * 32))
    assert weights_digest(folder) != named
