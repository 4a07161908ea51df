"""Conversions: byte-equal copies, a start from a base that equals it, nothing left half."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from collavo.cli import convert as command
from collavo.errors import CheckpointError, ConfigError, MissingFileError
from collavo.modeling.architectures import convert as module
from collavo.modeling.architectures.convert import convert
from collavo.modeling.architectures.xcomposer2 import base_config
from collavo.modeling.weights import builtin_weights, weight_files

MAIN, SEG = ".Plora_main.", "Plora_seg_"


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        found |= load_file(file)
    return found


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.fixture(scope="module")
def source(golden: Path) -> Path:
    return golden / "collavo_a"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as an InternLM-XComposer2-VL would be stored, in two shards."""
    source, folder = builtin_weights("collavo"), tmp_path_factory.mktemp("base")
    tensors = {}
    for name, tensor in _tensors(source).items():
        if SEG not in name and not name.startswith(("seg_", "vision_proj_for_seg")):
            tensors[name.replace(MAIN, ".")] = tensor
    tensors["model.tok_embeddings.weight"] = tensors["model.tok_embeddings.weight"][:-1].clone()
    tensors["vit.vision_tower.vision_model.embeddings.position_ids"] = torch.arange(257)[None]
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({n: tensors[n] for n in part}, folder / file)
    index = {"weight_map": {n: file for file, part in shards.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "internlmxcomposer2", "auto_map": {"AutoModel": "x.Y"}}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(source / "tokenizer.model", folder)
    return folder


def test_a_published_checkpoint_is_copied_byte_for_byte(source: Path, tmp_path: Path) -> None:
    done = convert(source, tmp_path / "new")
    old, new = _tensors(source), _tensors(tmp_path / "new")
    assert (done.kind, done.shards, done.fresh) == ("published", 1, 0)
    assert list(old) == list(new)
    assert any("w2.Plora_seg_A" in name for name in new)
    assert all(_bytes(old[n]) == _bytes(new[n]) for n in old)
    config = (tmp_path / "new" / "config.json").read_bytes()
    assert config == (source / "config.json").read_bytes()


def test_shards_are_cut_kept_and_joined(source: Path, tmp_path: Path) -> None:
    cut = convert(source, tmp_path / "cut", max_shard_size=200_000)
    files = sorted(f.name for f in (tmp_path / "cut").glob("*.safetensors"))
    assert cut.shards == len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((tmp_path / "cut" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == cut.nbytes
    for file in files:
        with safe_open(tmp_path / "cut" / file, "pt") as stream:
            names = set(stream.keys())
        assert names == {n for n, f in index["weight_map"].items() if f == file}
    kept = convert(tmp_path / "cut", tmp_path / "kept")
    assert kept.shards == cut.shards
    for file in files:
        kept_bytes = (tmp_path / "kept" / file).read_bytes()
        assert kept_bytes == (tmp_path / "cut" / file).read_bytes()
    joined = convert(tmp_path / "kept", tmp_path / "joined", max_shard_size=10**9)
    assert joined.shards == 1
    assert not (tmp_path / "joined" / "model.safetensors.index.json").exists()
    old, new = _tensors(source), _tensors(tmp_path / "joined")
    assert all(_bytes(old[n]) == _bytes(new[n]) for n in old)


def test_the_dtype_changes(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "new", dtype=torch.bfloat16)
    old, new = _tensors(source), _tensors(tmp_path / "new")
    assert all(torch.equal(old[n].to(torch.bfloat16), new[n]) for n in old)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_a_start_from_a_base_keeps_it_and_adds_a_silent_crayon(base: Path, tmp_path: Path) -> None:
    done = convert(base, tmp_path / "new", seed=3)
    old, new = _tensors(base), _tensors(tmp_path / "new")
    assert done.kind == "xcomposer2"
    assert {t.dtype for t in new.values()} == {torch.float16}
    table = new["model.tok_embeddings.weight"]
    assert torch.equal(table[:-1], old["model.tok_embeddings.weight"])
    for name, tensor in new.items():
        if name.endswith("Plora_seg_B.weight"):
            assert not tensor.any(), name
        elif SEG in name or name.startswith("seg_"):
            assert tensor.float().std() > 0, name
        elif name.startswith("vision_proj_for_seg"):
            assert torch.equal(tensor, old[name.replace("_for_seg", "")])
        elif name != "model.tok_embeddings.weight":
            assert torch.equal(tensor, old[name.replace(MAIN, ".")]), name
    again = convert(base, tmp_path / "again", seed=3)
    assert again == done
    assert all(torch.equal(t, new[n]) for n, t in _tensors(tmp_path / "again").items())
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["model_type"] == "internlm"
    assert "auto_map" not in config
    assert (tmp_path / "new" / "tokenizer.model").is_file()


def test_the_start_answers_as_the_base_with_and_without_crayon(base: Path, tmp_path: Path) -> None:
    from collavo.modeling.architectures.collavo import CoLLaVO
    from collavo.records import CrayonPrompt

    convert(base, tmp_path / "new")
    model = CoLLaVO.from_pretrained(tmp_path / "new", dtype="fp32", device="cpu")
    draw = torch.Generator().manual_seed(0)
    size = (1, 3, model.image_size, model.image_size)
    image = model.squares(torch.randint(0, 256, size, dtype=torch.uint8, generator=draw))
    ids = torch.tensor([[1, 20, model.image_token_id, 30, 40]])
    cells = torch.randint(0, 20, (2, 1, *model.grid), generator=draw)
    with torch.inference_mode():
        bare = model(ids, image).logits
        drawn = model(ids, image, CrayonPrompt(cells[0], cells[1], [""])).logits
    assert torch.equal(bare, drawn)
    assert bool(bare.isfinite().all())


def test_another_image_size_of_a_base_is_written_down() -> None:
    fields = json.loads((builtin_weights("collavo") / "config.json").read_text())
    del fields["vision_config"]
    assert base_config(fields)["vision_config"]["image_size"] == 224
    assert "vision_config" not in base_config(fields | {"img_size": 490})
    del fields["hidden_size"]
    with pytest.raises(CheckpointError, match="lacks 'hidden_size'"):
        base_config(fields)


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_a_base_of_another_kind_is_refused(base: Path, tmp_path: Path, change: str) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    tensors = load_file(folder / "b.safetensors")
    name = next(n for n in tensors if n.endswith("Plora_B.weight"))
    if change == "unexpected":
        tensors["plora_glb_GN"] = torch.zeros(1)
    elif change == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, folder / "b.safetensors")
    with pytest.raises(CheckpointError, match=f"1 {change}: "):
        convert(folder, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base"]


def test_what_is_no_checkpoint_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="these two kinds can be converted"):
        convert(builtin_weights("segmenter"), tmp_path / "new")
    with pytest.raises(ConfigError, match="--kind is 'llava'"):
        convert(source, tmp_path / "new", kind="llava")
    with pytest.raises(MissingFileError):
        convert(tmp_path / "nowhere", tmp_path / "new")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"pickled weights only \(pytorch_model.bin\)"):
        convert(pickled, tmp_path / "new")


def test_a_target_in_use_is_refused_and_untouched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        convert(source, tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    convert(source, tmp_path / "empty")
    assert (tmp_path / "empty" / "model.safetensors").is_file()


def test_a_full_disk_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match="could not be written .* nothing is left"):
            convert(source, tmp_path / "new", max_shard_size=200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match="GB free, the checkpoint takes"):
        convert(source, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_shards", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("512MiB", 512 * 2**20), ("1.5 kb", 1500), ("1000", 1000)],
)
def test_sizes(text: str, size: int) -> None:
    assert command.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5 elephants", "-1GB", "0GB", "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        command.parse_size(text)


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from collavo.cli.main import main

    target = tmp_path / "new"
    words = ["convert", "--from", str(source), "--to", str(target), "--max-shard-size", "500KB"]
    assert main([*words, "--dtype", "fp16"]) == 0
    assert "tensors" in capsys.readouterr().out
    assert {t.dtype for t in _tensors(target).values()} == {torch.float16}
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
