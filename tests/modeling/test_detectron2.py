"""The detectron2 segmenter, with a stand-in of detectron2's API where it is not installed."""

from __future__ import annotations

import collections
import pickle
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from safetensors.torch import save_file

from collavo.config import get_cfg
from collavo.errors import CheckpointError, ConfigError, MissingFileError
from collavo.modeling.segmenters.detectron2 import Detectron2Segmenter
from collavo.modeling.segmenters.detectron2_weights import read_weights
from collavo.records import Segment

SEPARATED = {
    "thing_classes": ["person", "bicycle", "car"],
    "stuff_classes": ["things", "banner", "door-stuff", "sky"],
}
"""As in detectron2's "separated" metadata, which drops -other and -merged but keeps -stuff."""


class StandInModel(torch.nn.Module):
    """Calls the left half a car and the lower right a sky; notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2, 3)
        self.register_buffer("pixel_mean", torch.zeros(3))
        self.given: list[dict] = []

    def forward(self, inputs):
        self.given += inputs
        results = []
        for one in inputs:
            ids = torch.zeros(one["height"], one["width"], dtype=torch.int32)
            ids[:, : one["width"] // 2] = 1
            ids[one["height"] // 2 :, one["width"] // 2 :] = 2
            infos = [
                {"id": 1, "isthing": True, "score": 0.87654321, "category_id": 2},
                {"id": 2, "isthing": False, "category_id": 3, "area": 5},
            ]
            results.append({"panoptic_seg": (ids, infos), "instances": None})
        return results


class Metadata(SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)


class Resize:
    def __init__(self, sizes, longest) -> None:
        self.side = sizes[0]

    def get_transform(self, image):
        self.shape = image.shape
        return self

    def apply_image(self, image):
        return np.resize(image, (self.side, self.side, 3))


class StandInCfg(CfgNode):
    def merge_from_file(self, cfg_filename, allow_unsafe=True):
        assert not allow_unsafe
        loaded = self.load_yaml_with_base(cfg_filename, allow_unsafe=False)
        self.merge_from_other_cfg(CfgNode(loaded))


def stand_in_cfg() -> StandInCfg:
    return StandInCfg(
        {
            "MODEL": {"WEIGHTS": "default.pkl", "DEVICE": "cuda"},
            "INPUT": {"FORMAT": "BGR", "MIN_SIZE_TEST": 16, "MAX_SIZE_TEST": 32},
            "DATASETS": {"TEST": ("coco_separated",)},
        }
    )


def get_config_file(name: str) -> str:
    raise RuntimeError(f"{name} not available in Model Zoo!")


@pytest.fixture
def detectron2(monkeypatch):
    """Modules that behave as detectron2's do, as far as they are used."""
    built = []

    def build_model(settings):
        assert settings.MODEL.DEVICE == "cpu"
        built.append(StandInModel())
        return built[-1]

    parts = {
        "config": {"get_cfg": stand_in_cfg},
        "modeling": {"build_model": build_model},
        "data": {"MetadataCatalog": {"coco_separated": Metadata(**SEPARATED)}},
        "data.transforms": {"ResizeShortestEdge": Resize},
        "model_zoo": {"get_config_file": get_config_file},
    }
    monkeypatch.setitem(sys.modules, "detectron2", ModuleType("detectron2"))
    for name, attributes in parts.items():
        module = ModuleType(f"detectron2.{name}")
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, f"detectron2.{name}", module)
    return built


@pytest.fixture
def files(tmp_path):
    config = tmp_path / "panoptic.yaml"
    config.write_text("INPUT:\n  MIN_SIZE_TEST: 24\n")
    weights = tmp_path / "weights.safetensors"
    save_file({"head.weight": torch.ones(3, 2), "head.bias": torch.full((3,), 2.0)}, weights)
    return {"SEGMENTER.CONFIG_FILE": str(config), "SEGMENTER.WEIGHTS": str(weights)}


def build(files, **changed):
    return Detectron2Segmenter.from_config(
        get_cfg(config_overrides={**files, **changed}), grid=(4, 4), device="cpu"
    )


def test_segments_on_the_grid(detectron2, files):
    segmenter = build(files)
    images = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    images[:, 0] = 200
    made = segmenter.segment(images)
    assert made[0].ids.tolist() == [[1, 1, 0, 0]] * 2 + [[1, 1, 2, 2]] * 2
    assert made[0].segments == (Segment(1, 2, 0.876543), Segment(2, 119, 1.0))
    assert len(made) == 2
    model = detectron2[0]
    assert not model.training
    assert model.head.bias.tolist() == [2.0, 2.0, 2.0]
    given = model.given[0]
    assert (given["height"], given["width"]) == (40, 40)
    assert given["image"].shape == (3, 24, 24) and given["image"].dtype == torch.float32
    assert given["image"][:, 0, 0].tolist() == [0.0, 0.0, 200.0]  # blue, green, red
    assert segmenter.segment(images[:0]) == []


def test_standard_metadata_has_all_classes_in_both_tables(files):
    names = ["person", "sky-other-merged", "door-stuff"]
    segmenter = Detectron2Segmenter(StandInModel(), None, "RGB", names, names, (4, 4))
    infos = [
        {"id": 1, "isthing": False, "category_id": 1},
        {"id": 2, "isthing": True, "category_id": 0},
    ]
    ids = torch.tensor([[1, 1], [2, 2]], dtype=torch.int32)
    made = segmenter._convert({"panoptic_seg": (ids, infos)})
    assert [s.label_id for s in made.segments] == [119, 0]


def test_not_installed(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(ConfigError, match=r"needs detectron2.*bash install --detectron2"):
        build(files)


def test_keys_that_are_not_set(detectron2, files, tmp_path):
    with pytest.raises(ConfigError, match="needs SEGMENTER.CONFIG_FILE"):
        build(files, **{"SEGMENTER.CONFIG_FILE": ""})
    with pytest.raises(ConfigError, match="is no YAML file"):
        build(files, **{"SEGMENTER.CONFIG_FILE": "model.py"})
    with pytest.raises(MissingFileError, match="neither a file nor in detectron2's model zoo"):
        build(files, **{"SEGMENTER.CONFIG_FILE": "COCO/none.yaml"})
    with pytest.raises(MissingFileError, match=r"SEGMENTER.WEIGHTS '' is no file"):
        build(files, **{"SEGMENTER.WEIGHTS": ""})
    (tmp_path / "panoptic.yaml").write_text("DATASETS:\n  TEST: []\n")
    with pytest.raises(ConfigError, match=r"names no DATASETS.TEST"):
        build(files)


def test_a_model_without_panoptic_output(detectron2, files):
    segmenter = build(files)
    with pytest.raises(ConfigError, match=r"\['instances'\] and no 'panoptic_seg'"):
        segmenter._convert({"instances": None})


def test_a_dataset_of_other_classes():
    with pytest.raises(ConfigError, match="no class of COCO panoptic"):
        Detectron2Segmenter(StandInModel(), None, "RGB", ["wolf"], ["lava"], (4, 4))


def test_weights_that_do_not_fit(detectron2, files, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"head.weight": torch.ones(3, 2), "tail": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"lacks head.bias, has tail \(2 in all\)"):
        build(files)
    save_file({"head.weight": torch.ones(4, 2), "head.bias": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="does not fit"):
        build(files)


def test_the_fingerprint_covers_weights_config_and_grid(detectron2, files, tmp_path):
    prints = [build(files).fingerprint(), build(files).fingerprint()]
    assert prints[0] == prints[1]
    (tmp_path / "panoptic.yaml").write_text("INPUT:\n  MIN_SIZE_TEST: 25\n")
    prints.append(build(files).fingerprint())
    other = {"head.weight": torch.zeros(3, 2), "head.bias": torch.ones(3)}
    save_file(other, tmp_path / "weights.safetensors")
    prints.append(build(files).fingerprint())
    assert len(set(prints)) == 3


def test_the_model_zoos_pickles_of_arrays(tmp_path):
    path = tmp_path / "model_final.pkl"
    state = collections.OrderedDict(a=np.arange(6.0).reshape(2, 3), b=np.ones(1, np.float32))
    content = pickle.dumps({"model": state, "__author__": "Detectron2 Model Zoo"}, 2)
    # As numpy 1 wrote it, and as the zoo's files are.
    path.write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    read = read_weights(path)
    assert read["a"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert set(read) == {"a", "b"}
    torch.save({"model": {"c": torch.ones(2)}}, tmp_path / "model.pth")
    assert read_weights(tmp_path / "model.pth")["c"].tolist() == [1.0, 1.0]


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_pickles_that_run_code_are_refused(tmp_path, suffix, capsys):
    path = tmp_path / f"model{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({"model": {"a": Evil()}}))
    else:
        torch.save({"model": {"a": Evil()}}, path)
    with pytest.raises(CheckpointError, match="can run code"):
        read_weights(path)
    assert "ran" not in capsys.readouterr().out


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights(path)
    path.write_bytes(pickle.dumps({"model": {"a": "text"}}))
    with pytest.raises(CheckpointError, match="no state dict"):
        read_weights(path)
