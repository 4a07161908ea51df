"""Nothing stale: whatever is kept is kept under what it was made of."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from collavo.config import get_cfg
from collavo.config.paths import assets_dir
from collavo.datasets.evaluation.judge.build import _Unasked
from collavo.datasets.evaluation.judge.local_backend import LocalBackend
from collavo.datasets.evaluation.judge.openai_backend import OpenAIBackend
from collavo.datasets.instruction.llava import LlavaSource
from collavo.datasets.instruction.panoptic import PanopticSource
from collavo.datasets.instruction.parquet import ParquetSource
from collavo.datasets.instruction.source import Source, SourceSpec
from collavo.datasets.segmentation.folder import PanopticFolder
from collavo.engine import fingerprint as fp
from collavo.engine.ablation import contents
from collavo.engine.crayon_cache import cache_key
from collavo.engine.store import Store
from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.checkpoints.digest import file_digest
from collavo.modeling.checkpoints.folder import CheckpointFolder
from collavo.modeling.checkpoints.stage_folder import base_files
from collavo.modeling.pretrained import content_of
from collavo.modeling.segmenters.precomputed import PrecomputedSegmenter
from collavo.modeling.weights import weight_files, weights_digest

ITEMS = {"model": {"weights": "a"}, "code": "one"}


def run(folder: Path, items: dict[str, Any] | None, answers: bool = True) -> Path:
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "0001-0000.jsonl").write_text('{"id": "s"}\n' if answers else "")
    if items is not None:
        fp.write_items(folder, items)
    return folder


@pytest.mark.parametrize("content", [None, "", "null", "[]", "{", "{}", "[" * 100_000, "5"])
def test_answers_without_a_readable_fingerprint_are_refused(
    tmp_path: Path, content: str | None
) -> None:
    folder = run(tmp_path / "run", None)
    if content is not None:
        (folder / fp.FILE).write_text(content)
    with pytest.raises(ConfigError, match="absent or damaged.*--fresh"):
        fp.check_folder(folder, ITEMS)
    empty = run(tmp_path / "empty", None, answers=False)
    if content is not None:
        (empty / fp.FILE).write_text(content)
    fp.check_folder(empty, ITEMS)  # cut off before there were answers


def test_a_fingerprint_that_is_a_folder_is_no_fingerprint(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", None)
    (folder / fp.FILE).mkdir()
    with pytest.raises(ConfigError, match="absent or damaged"):
        fp.check_folder(folder, ITEMS)


@pytest.mark.parametrize("place", ["export", "checkpoints/step-00000005"])
@pytest.mark.parametrize("content", [None, "", "null", "{"])
def test_a_training_without_a_readable_fingerprint_is_refused(
    tmp_path: Path, content: str | None, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True)
    if content is not None:
        (tmp_path / fp.FILE).write_text(content)
    with pytest.raises(ConfigError, match="absent or damaged.*TRAIN.DIR.*--fresh"):
        fp.check_folder(tmp_path, ITEMS, "TRAIN.DIR")


def test_to_start_anew_clears_what_is_damaged(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", None)
    (folder / fp.FILE).mkdir()
    Store(folder).clear()
    assert not any(folder.iterdir())


def test_runs_that_differ_by_code_alone_are_named(tmp_path: Path) -> None:
    other = run(tmp_path / "b", {**ITEMS, "code": "two"})
    run(tmp_path / "c", {**ITEMS, "model": {"weights": "b"}, "code": "two"})
    run(tmp_path / "d", {**ITEMS, "code": "three"}, answers=False)
    own = run(tmp_path / "a", ITEMS)
    assert fp.of_other_code(tmp_path, ITEMS, own) == {other: 1}


def _sharded(folder: Path, scale: float) -> Path:
    source = assets_dir() / "tiny" / "collavo"
    tensors = load_file(source / "model.safetensors")
    names = sorted(tensors)
    half = len(names) // 2
    for file in ("config.json", "tokenizer.model"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, folder / file)
    for part, kept, by in (("a", names[:half], scale), ("b", names[half:], 1.0)):
        (folder / part).mkdir(exist_ok=True)
        save_file({n: tensors[n] * by for n in kept}, folder / part / "model.safetensors")
    where = {n: f"{'a' if k < half else 'b'}/model.safetensors" for k, n in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def test_shards_of_one_name_in_two_folders_count_each(tmp_path: Path) -> None:
    prints, digests = set(), set()
    for number, scale in enumerate((1.0, 1.5)):
        folder = _sharded(tmp_path / str(number), scale)
        prints.add(CoLLaVO.from_pretrained(folder, device="cpu").fingerprint())
        digests.add(weights_digest(folder))
    assert len(prints) == len(digests) == 2


@pytest.mark.parametrize("shard", ["/etc/passwd", "../x.safetensors", "a/../../x", "a\0b", 5, None])
def test_shards_stay_inside_the_folder(tmp_path: Path, shard: Any) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": shard}}))
    with pytest.raises(CheckpointError, match="not inside the folder|is no weight index"):
        weight_files(tmp_path)


def test_a_folder_is_named_by_its_content_and_a_hub_id_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    one = content_of(str(folder))
    assert one == content_of(str(folder)) and len(one) == 64
    (folder / "config.json").write_text("[]")  # the same size
    assert content_of(str(folder)) != one
    assert content_of("owner/name") == "owner/name"
    assert content_of("owner/name", "v1") == "owner/name@v1"


def test_judgements_are_kept_under_all_that_decides_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    folder = str(tmp_path / "m")
    names = [
        LocalBackend(folder).identity,
        LocalBackend("owner/name").identity,
        LocalBackend("owner/name", "v1").identity,
        OpenAIBackend("owner/name").identity,
        OpenAIBackend("j").identity,
        OpenAIBackend("j", "http://127.0.0.1:1/v1").identity,
        OpenAIBackend("j", "http://127.0.0.1:2/v1").identity,
    ]
    assert len(set(names)) == len(names)
    assert OpenAIBackend("j").identity == "j", "judgements of OpenAI's own models stay valid"

    keys = {"JUDGE.MODEL": folder, "JUDGE.BACKEND": "hf"}
    assert _Unasked(get_cfg(config_overrides=keys)).identity == names[0]
    keys = {"JUDGE.MODEL": "j", "JUDGE.BASE_URL": "http://127.0.0.1:1/v1"}
    assert _Unasked(get_cfg(config_overrides=keys)).identity == names[5]


def test_crayon_maps_are_kept_under_the_segmenter_s_code() -> None:
    from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter

    def key(kind: Any) -> str:
        """Of a segmenter of this class, whose weights and settings are said to be the same."""
        made = type("Made", (kind,), {"__init__": lambda self: None, "fingerprint": lambda s: "x"})
        return cache_key(made(), 8)

    assert key(Mask2FormerSegmenter) != key(PrecomputedSegmenter)
    assert key(PrecomputedSegmenter) == key(PrecomputedSegmenter)


def test_crayon_maps_are_kept_under_how_images_are_brought_to_the_segmenter() -> None:
    from collavo.modeling.image_policies.square import PadToSquare, ShortestEdgeCrop, Squash

    class Segmenter(PrecomputedSegmenter):
        def __init__(self) -> None: ...

        def fingerprint(self) -> str:
            return "x"

    policies = [PadToSquare(8, 1), PadToSquare(8, 1, (1.0, 0.0, 0.0)), ShortestEdgeCrop(8, 1)]
    keys = {cache_key(Segmenter(), 8, policy) for policy in policies}
    assert len(keys) == 3
    built = cache_key(Segmenter(), 8)
    assert built not in keys and built == cache_key(Segmenter(), 8, Squash(8, 4)), "crayon build's"


def test_weights_of_a_plan_are_told_by_content(tmp_path: Path) -> None:
    weights, photo = tmp_path / "sub" / "w.bin", tmp_path / "a.jpg"
    weights.parent.mkdir()
    for file in (weights, photo):
        file.write_bytes(b"1234")

    def told(key: str = "MODEL.WEIGHTS", value: Path = tmp_path) -> dict[str, str]:
        contents._state_of.cache_clear()
        return contents.files_behind({key: str(value)}, built_in=True)

    before, times = told(), weights.stat()
    assert list(before) == [str(tmp_path)]
    weights.write_bytes(b"4321")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert told() != before, "whatever their size and time"
    before = told()
    _touched(photo)
    assert told() != before
    assert told(value=weights)[str(weights)] == file_digest(weights)
    assert told("SEGMENTER.PRECOMPUTED.JSON", weights).keys() > {str(weights)}


def test_what_is_no_path_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("collavo", "results", "owner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("")
    monkeypatch.chdir(tmp_path)
    settings = {"MODEL.NAME": "collavo", "SAVE_DIR": "results", "MODEL.WEIGHTS": "owner/name"}
    assert not contents.files_behind(settings, built_in=True)
    assert contents.files_behind({}, built_in=True).keys() == {"/collavo", "/segmenter"}
    assert not contents.files_behind({}, built_in=False)


def test_data_of_a_training_of_a_plan(tmp_path: Path) -> None:
    _llava(tmp_path)
    mix = tmp_path / "mix.yaml"
    mix.write_text("- {path: rows.json}")
    folder = tmp_path / "maps"
    folder.mkdir()
    maps = _panoptic_files(folder)

    def told(text: object) -> list[str]:
        contents._sources.clear()
        return contents.trained_on(get_cfg(config_overrides={"TRAIN.DATA": [text]}))

    givens = [f"llava:{tmp_path / 'rows.json'}", f"mix:{mix}", f"panoptic:{maps}?classes=own"]
    givens.append(str(tmp_path / "rows.json"))
    files = [tmp_path / "named.png", tmp_path / "in" / "é.png", folder / "photo.png"]
    files.append(tmp_path / "rows.json")
    for given, file in zip(givens, files, strict=True):
        before = told(given)
        assert told(given) == before
        (tmp_path / "in" / "other.png").write_bytes(str(file).encode())
        assert told(given) == before, "only the images that it names"
        if file.suffix == ".json":
            file.write_text(file.read_text() + " ")
        else:
            _touched(file)
        assert told(given) != before, given
    assert told("miniature:vl?scenes=3") == told("miniature:vl?scenes=3")


@pytest.mark.parametrize("by", ["path", "DATASETS.ROOT", "variable"])
def test_what_a_plan_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    folder = tmp_path / "LLaVA-Bench"
    folder.mkdir()
    (folder / "images").mkdir()
    photo, file = folder / "images" / "a.png", folder / "own.jsonl"
    Image.new("RGB", (4, 4)).save(photo)
    file.write_text(json.dumps({"image": "images/a.png", "question": "q?", "answer": "b"}))
    name, keys = str(file), {"DATASETS.TEST": f"{file},{file}"}
    if by != "path":
        name = keys["DATASETS.TEST"] = "llavabench"
        file = folder / "questions.jsonl"
        row = {"question_id": 1, "image": "a.png", "text": "q?", "category": "conv"}
        file.write_text(json.dumps(row))
        (folder / "answers_gpt4.jsonl").write_text(json.dumps({"question_id": 1, "text": "b"}))
        (folder / "context.jsonl").write_text(json.dumps({"image": "a.png", "caption": "c"}))
        monkeypatch.setenv("DATASET2", str(tmp_path) if by == "variable" else "")
        keys["DATASETS.ROOT"] = str(tmp_path) if by == "DATASETS.ROOT" else ""

    def told() -> dict[str, str]:
        contents._asked.cache_clear()
        return contents.asked_of(get_cfg(config_overrides=keys))

    before = told()
    assert len(before) == 1 and name in next(iter(before)) and told() == before
    (folder / "results.png").write_bytes(b"1")
    assert told() == before
    _touched(photo)
    changed = told()
    assert changed != before
    file.write_text(file.read_text().replace("q?", "r?"))
    assert told() != changed


def _touched(file: Path) -> None:
    times = file.stat()
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))


def _llava(folder: Path) -> Source:
    rows = [
        {
            "image": name,
            "conversations": [
                {"from": "human", "value": "<image>a"},
                {"from": "gpt", "value": "b"},
            ],
        }
        for name in ("in/é.png", f"file://{folder / 'named.png'}")
    ]
    rows.append({**rows[0], "image": ["first.png"]})
    (folder / "in").mkdir(exist_ok=True)
    for name in ("in/é.png", "named.png", "first.png"):
        if not (folder / name).is_file():
            Image.new("RGB", (4, 4)).save(folder / name)
    if not (folder / "rows.json").is_file():
        (folder / "rows.json").write_text(json.dumps(rows))
    return LlavaSource(SourceSpec("s", str(folder / "rows.json")))


def _parquet(folder: Path) -> Source:
    if not (folder / "a.parquet").is_file():
        table = pa.table({"prompt": ["q"], "ground_truth": ["a"]})
        parquet.write_table(table, folder / "a.parquet")
    return ParquetSource(SourceSpec("s", str(folder)))


def _panoptic_files(folder: Path) -> Path:
    file = folder / "p.json"
    if not file.is_file():
        (folder / "p").mkdir()
        Image.new("RGB", (4, 4), (1, 0, 0)).save(folder / "p" / "m.png")
        Image.new("RGB", (4, 4)).save(folder / "photo.png")
        segment = {"id": 1, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 4, 4], "area": 16}
        annotation = {"image_id": 1, "file_name": "m.png", "segments_info": [segment]}
        image = {"id": 1, "file_name": "photo.png", "width": 4, "height": 4}
        categories = [{"id": 1, "name": "person", "isthing": 1}]
        content = {"images": [image], "annotations": [annotation], "categories": categories}
        file.write_text(json.dumps(content))
    return file


def _panoptic(folder: Path) -> Source:
    return PanopticSource(SourceSpec("s", str(_panoptic_files(folder))), (2, 2))


def _segmenter_data(folder: Path) -> Any:
    return PanopticFolder(_panoptic_files(folder), None, 4)


@pytest.mark.parametrize(
    ("open_source", "files"),
    [
        (_llava, ["rows.json", "in/é.png", "named.png", "first.png"]),
        (_parquet, ["a.parquet"]),
        (_panoptic, ["p.json", "p/m.png", "photo.png"]),
        (_segmenter_data, ["p.json", "p/m.png", "photo.png"]),
    ],
)
def test_training_data_are_told_by_what_they_name(
    tmp_path: Path, open_source: Callable[[Path], Any], files: list[str]
) -> None:
    before = open_source(tmp_path).fingerprint()
    (tmp_path / "curves.png").write_bytes(b"of a run that is kept beside the data")
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "unnamed.png").write_bytes(b"1")
    assert open_source(tmp_path).fingerprint() == before
    for name in files:
        file = tmp_path / name
        if file.suffix == ".json":
            file.write_text(file.read_text() + " ")  # by content
        else:
            _touched(file)  # by size and time
        after = open_source(tmp_path).fingerprint()
        assert after != before, name
        before = after


def test_a_base_of_shards_of_one_name_is_told_by_each(tmp_path: Path) -> None:
    folder = _sharded(tmp_path / "base", 1.0)
    files = base_files(CheckpointFolder(folder))
    assert {"a/model.safetensors", "b/model.safetensors", "config.json"} <= files.keys()
