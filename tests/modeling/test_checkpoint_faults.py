"""Everything that can be wrong with a checkpoint in the published format is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from collavo.config import get_cfg
from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.architectures.collavo import CoLLaVO
from tests.modeling.published_checkpoint import SMALL, load, tensors, write


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
    with pytest.raises(CheckpointError, match="not a JSON object"):
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
