"""The Mask2Former segmenter against transformers' own model, processor and rule."""

from __future__ import annotations

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessorPil

from collavo.config import get_cfg
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import CheckpointError, MissingFileError
from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter, clean_class_names
from collavo.modeling.segmenters.mask2former_speed import use_fast_parts
from collavo.modeling.segmenters.panoptic import Thresholds
from collavo.modeling.segmenters.source import PUBLISHED, segmenter_folder
from collavo.modeling.weights import builtin_weights
from collavo.registry import SEGMENTERS

BUILTIN = builtin_weights("segmenter")
FILES = ("config.json", "preprocessor_config.json")
EASY = Thresholds(0.01, 0.005, 0.1)
"""Random weights are never sure, so that the usual thresholds would leave nothing to compare."""


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("transformers").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 6, 6, generator=random) * 255
    return torch.nn.functional.interpolate(coarse, size=224, mode="bilinear").to(torch.uint8)


@pytest.fixture
def copy(tmp_path):
    """A copy of the built-in checkpoint, to spoil."""
    return shutil.copytree(BUILTIN, tmp_path / "segmenter")


def edit(folder, **fields) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture(scope="module")
def plain() -> Mask2FormerForUniversalSegmentation:
    model = Mask2FormerForUniversalSegmentation.from_pretrained(BUILTIN, dtype=torch.float32)
    return model.eval()


@pytest.fixture
def one_thread():
    """Sums in one order; where threads share a sum, float32 rounds it otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_segments_are_those_of_transformers(plain, images):
    processor = Mask2FormerImageProcessorPil.from_pretrained(BUILTIN)
    inputs = processor([np.asarray(i.permute(1, 2, 0)) for i in images], return_tensors="pt")
    with torch.no_grad():
        outputs = plain(pixel_values=inputs["pixel_values"])
    wanted = processor.post_process_panoptic_segmentation(
        outputs,
        EASY.score,
        EASY.mask,
        EASY.overlap,
        label_ids_to_fuse=set(),
        target_sizes=[(16, 16)] * len(images),
    )
    segmenter = Mask2FormerSegmenter.from_pretrained(BUILTIN, (16, 16), EASY)
    made = segmenter.segment(images)
    assert sum(len(m.segments) for m in made) > 3
    for ours, theirs in zip(made, wanted, strict=True):
        # sums in another order round otherwise: a cell on a border may fall to its neighbour
        same = ours.ids == theirs["segmentation"].to(torch.int32)
        assert float(same.float().mean()) > 0.98
        assert [s.label_id for s in ours.segments] == [
            s["label_id"] for s in theirs["segments_info"]
        ]
        assert [s.score for s in ours.segments] == pytest.approx(
            [s["score"] for s in theirs["segments_info"]], abs=1e-4
        )


def test_a_batch_changes_no_image(images):
    segmenter = Mask2FormerSegmenter.from_pretrained(BUILTIN, (16, 16), EASY)
    together = segmenter.segment(images)
    for position in (2, 0):
        alone = segmenter.segment(images[position : position + 1])[0]
        assert torch.equal(alone.ids, together[position].ids)
        assert alone.segments == together[position].segments
    assert segmenter.segment(images[:0]) == []


def test_fast_parts_change_rounding_only(plain):
    pixels = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = plain(pixel_values=pixels)
        fast = Mask2FormerForUniversalSegmentation.from_pretrained(BUILTIN, dtype=torch.float32)
        fast.eval()
        use_fast_parts(fast)
        made = fast(pixel_values=pixels)
    for name in ("class_queries_logits", "masks_queries_logits"):
        assert torch.allclose(made[name], wanted[name], atol=2e-5, rtol=1e-4)


def test_names_of_classes():
    segmenter = Mask2FormerSegmenter.from_pretrained(BUILTIN, (16, 16))
    assert segmenter.class_names == CLEAN_NAMES
    assert clean_class_names({i: f"LABEL_{i}" for i in range(133)}) == CLEAN_NAMES
    assert clean_class_names({"1": "sky-other-merged", "0": "wall-brick"}) == ("wall-brick", "sky")
    assert clean_class_names({0: "LABEL_0", 1: "LABEL_1"}) == ("LABEL_0", "LABEL_1")


def test_a_config_without_auxiliary_loss_works(copy, images):
    edit(copy, use_auxiliary_loss=False)
    segmenter = Mask2FormerSegmenter.from_pretrained(copy, (16, 16))
    assert len(segmenter.segment(images[:1])) == 1


def test_the_fingerprint_covers_weights_thresholds_and_grid(copy):
    def fingerprint(folder=BUILTIN, grid=(16, 16), thresholds=None):
        return Mask2FormerSegmenter.from_pretrained(folder, grid, thresholds).fingerprint()

    same = fingerprint()
    assert fingerprint(copy) == same
    prints = {same, fingerprint(grid=(35, 35)), fingerprint(thresholds=Thresholds(overlap=0.7))}
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    prints.add(fingerprint(copy))
    shutil.copy(BUILTIN / "model.safetensors", weights)
    assert fingerprint(copy) == same
    path = copy / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"resample": 2', '"resample": 3'))
    prints.add(fingerprint(copy))
    assert len(prints) == 5


def test_through_the_registry_and_the_configuration(images):
    words = ["SEGMENTER.MASK_THRESHOLD", "0.4", "SEGMENTER.OVERLAP_THRESHOLD", "0.7"]
    cfg = get_cfg(overrides=words)
    segmenter = SEGMENTERS.get("mask2former").from_config(cfg, grid=(16, 16), device="cpu")
    assert segmenter.thresholds == Thresholds(0.5, 0.4, 0.7)
    assert segmenter.grid == (16, 16)
    assert [s.ids.shape for s in segmenter.segment(images)] == [(16, 16)] * 3


def cfg_with(**keys):
    return get_cfg(config_overrides={k.replace("__", "."): v for k, v in keys.items()})


def test_which_weights_are_meant(copy, tmp_path):
    assert segmenter_folder(cfg_with(), FILES) == BUILTIN
    assert segmenter_folder(cfg_with(SEGMENTER__WEIGHTS=str(copy)), FILES) == copy
    model = tmp_path / "model"
    shutil.copytree(BUILTIN, model / "segmenter")
    (model / "config.json").write_text("{}")
    for key in ("MODEL__WEIGHTS", "RESUME_FROM"):
        found = segmenter_folder(cfg_with(**{key: str(model)}), FILES)
        assert found == model / "segmenter"


def test_a_model_names_its_segmenter(copy, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for named, found in (("builtin", BUILTIN), (str(copy), copy), ("../segmenter", copy)):
        (model / "config.json").write_text(json.dumps({"collavo": {"segmenter": named}}))
        folder = segmenter_folder(cfg_with(MODEL__WEIGHTS=str(model)), FILES)
        assert folder.resolve() == found.resolve()


def test_a_copy_of_the_built_in_model_keeps_its_segmenter(tmp_path):
    model = shutil.copytree(builtin_weights("collavo"), tmp_path / "model")
    assert segmenter_folder(cfg_with(RESUME_FROM=str(model)), FILES) == BUILTIN


def test_real_weights_never_get_the_tiny_segmenter(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", _unreachable)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MissingFileError) as caught:
        segmenter_folder(cfg_with(MODEL__WEIGHTS=str(tmp_path)), FILES)
    for part in (PUBLISHED, "SEGMENTER.WEIGHTS", *FILES, "safetensors"):
        assert part in str(caught.value)


def _unreachable(*_, **__):
    raise OSError("no connection")


def test_another_kind_of_model(copy):
    edit(copy, model_type="maskformer")
    with pytest.raises(CheckpointError, match="'maskformer', not 'mask2former'"):
        Mask2FormerSegmenter.from_pretrained(copy, (16, 16))


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"num_queries": 7}, "of another shape.*queries"), ({"encoder_layers": 4}, "missing")],
)
def test_weights_that_do_not_fit(copy, fields, message):
    edit(copy, **fields)
    with pytest.raises(CheckpointError, match=message):
        Mask2FormerSegmenter.from_pretrained(copy, (16, 16))


def test_damaged_weights(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Mask2FormerSegmenter.from_pretrained(copy, (16, 16))


def test_pickled_weights_are_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights only.*pytorch_model.bin"):
        Mask2FormerSegmenter.from_pretrained(copy, (16, 16))


def test_a_missing_file(copy):
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(MissingFileError, match="lacks preprocessor_config.json"):
        Mask2FormerSegmenter.from_pretrained(copy, (16, 16))
