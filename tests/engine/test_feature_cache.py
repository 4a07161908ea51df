"""Vision features on disk: the same answers, never another model's, never damaged ones."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from collavo.cli.main import main
from collavo.config import get_cfg
from collavo.engine.feature_cache import FeatureCache, features_key
from collavo.engine.models import Models
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.image_policies.square import square_input
from collavo.modeling.vision_encoders.clip_vit import CLIPVisionEncoder

DIGESTS = [f"{number:064x}" for number in (10, 11, 12)]
PIXELS = torch.arange(3 * 3 * 2 * 2, dtype=torch.uint8).view(3, 3, 2, 2)
VISUALS = [square_input(pixels, 4) for pixels in PIXELS]


class Look:
    """Two levels of features that follow from the pixels; counts the images that it saw."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, visuals: list[VisualInput]) -> list[torch.Tensor]:
        self.seen += len(visuals)
        pixels = torch.stack([visual.tensors["pixel_values"] for visual in visuals])
        values = pixels.flatten(1).float()[:, :, None] / 7
        return [values.to(torch.bfloat16), values[:, :5] * torch.tensor([1.0, 3.0])]


def same(a, b) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_what_was_looked_at_once_is_not_looked_at_again(tmp_path: Path) -> None:
    look, whole = Look(), Look()(VISUALS)
    assert same(
        FeatureCache(tmp_path).levels(DIGESTS[:2], VISUALS[:2], look), [w[:2] for w in whole]
    )
    assert look.seen == 2
    again = FeatureCache(tmp_path)
    assert same(again.levels(DIGESTS, VISUALS, look), whole) and look.seen == 3
    order = [2, 0, 1]
    turned = again.levels([DIGESTS[k] for k in order], [VISUALS[k] for k in order], look)
    assert same(turned, [w[order] for w in whole]) and look.seen == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_damaged_files_are_made_again(tmp_path: Path, damage: str, caplog) -> None:
    look = Look()
    cache = FeatureCache(tmp_path)
    whole = cache.levels(DIGESTS, VISUALS, look)
    path = cache.path(DIGESTS[1])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"cut": data[:-9], "flipped": data, "empty": b"", "other": b"text"}[damage])
    with caplog.at_level(logging.WARNING):
        assert same(cache.levels(DIGESTS, VISUALS, look), whole)
    assert look.seen == 4 and path.name in caplog.text
    assert same(cache.levels(DIGESTS, VISUALS, look), whole) and look.seen == 4


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file" / "features")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert same(cache.levels(DIGESTS, VISUALS, Look()), Look()(VISUALS))
    assert caplog.text.count("cannot be written") == 1


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch, caplog) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING):
        FeatureCache(tmp_path).levels(DIGESTS, VISUALS, Look())
    assert "No space left" in caplog.text
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    for name in ("DATASET", "DATASET2", "VLDATASET", "DETECTRON2_DATASETS"):
        monkeypatch.delenv(name, raising=False)

    def run(*options: str, **keys: object) -> tuple[int, bytes, dict]:
        given = {"DATASETS.TEST": "pope_test", "VIS.SAMPLES": 0, "SAVE_DIR": tmp_path / "runs"}
        given |= {k.replace("__", "."): v for k, v in keys.items()}
        code = main(
            [
                "eval",
                "--limit",
                "24",
                *options,
                "--overrides",
                *(f"{k}={v}" for k, v in given.items()),
            ]
        )
        files = sorted(tmp_path.glob("runs/*/*/results.json"), key=lambda f: f.stat().st_mtime_ns)
        if not files:
            return code, b"", {}
        predictions = files[-1].with_name("predictions.jsonl").read_bytes()
        return code, predictions, json.loads(files[-1].read_text())

    return run


def test_the_built_in_model_answers_the_same_from_kept_features(evaluate, tmp_path, monkeypatch):
    plain = evaluate()
    keys = {"VISION__CACHE": tmp_path / "features"}
    first = evaluate("--fresh", **keys)
    assert (
        len(list((tmp_path / "features").rglob("*.safetensors"))) == first[2]["timings"]["images"]
    )
    monkeypatch.setattr(
        CLIPVisionEncoder, "forward", lambda *a: pytest.fail("the image was looked at once more")
    )
    for reuse in ("prefix", "vision"):
        again = evaluate("--fresh", EVAL__REUSE=reuse, **keys)
        assert again[:2] == first[:2] == plain[:2] and again[0] == 0


def test_the_key_covers_model_and_precision():
    model = Models("cpu").get(get_cfg((), ["DATASETS.TEST=pope_test"]))
    half = Models("cpu").get(get_cfg((), ["LLM.DTYPE=bf16"]))
    keys = [features_key(m) for m in (model, half, replace(model, device="cuda:1"))]
    assert len(set(keys)) == 3
    assert features_key(replace(model, device="cuda:0")) == keys[2]


def test_a_model_without_features_says_so(bench, capsys, tmp_path):
    assert bench.run(VISION__CACHE=tmp_path).code == 2
    assert "FakeModel keeps no vision features" in capsys.readouterr().err
