"""Panoptic models of detectron2 (Wu et al., 2019), where it is installed."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import CheckpointError, ConfigError, DataError, MissingFileError
from collavo.modeling.segmenters.base import Segmenter
from collavo.modeling.segmenters.detectron2_weights import read_weights
from collavo.modeling.segmenters.mask2former import clean_name
from collavo.modeling.segmenters.resize import RULE_VERSION, to_grid
from collavo.records import ImageRef, Segment, Segments
from collavo.registry import SEGMENTERS

_IGNORED = ("pixel_mean", "pixel_std", "cell_anchors")
"""Parts of keys that old and new checkpoints have or lack without harm; detectron2 ignores them."""


@SEGMENTERS.register("detectron2")
class Detectron2Segmenter(Segmenter):
    """Panoptic models of detectron2, from its own YAML and weights, where it is installed.

    It runs at the size that its config says and combines masks by its config's own thresholds; the
    map is then brought to the grid by majority (`to_grid`).

    Args:
        model: In evaluation mode; called with detectron2's input dicts.
        resize: Returns the transform of an (H, W, 3) image to the size that the model takes.
        channels: "BGR" or "RGB".
        thing_classes: Names of the model's thing ids.
        stuff_classes: Names of the model's stuff ids.
        grid: Rows and columns (h, w) of the answer.
        digest: The hash of weights and settings that `fingerprint` is made from.
    """

    def __init__(
        self,
        model: Any,
        resize: Any,
        channels: str,
        thing_classes: Sequence[str],
        stuff_classes: Sequence[str],
        grid: tuple[int, int],
        digest: str = "",
    ) -> None:
        self.model, self.resize, self.channels = model, resize, channels
        self.grid = grid
        self.class_names = CLEAN_NAMES
        self._things = [_coco_id(name) for name in thing_classes]
        self._stuff = [_coco_id(name) for name in stuff_classes]
        self._digest = digest
        if all(label is None for label in (*self._things, *self._stuff)):
            raise ConfigError(
                "the detectron2 model's dataset has no class of COCO panoptic; "
                "its DATASETS.TEST must be a COCO panoptic dataset"
            )

    @classmethod
    def from_config(
        cls, cfg: Any, grid: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Detectron2Segmenter:
        """Builds the model of SEGMENTER.CONFIG_FILE with the weights file SEGMENTER.WEIGHTS.

        Args:
            cfg: The configuration. CONFIG_FILE is a file or a name of detectron2's model zoo.
            grid: Rows and columns of the model's patch grid.
            device: Where it runs.

        Raises:
            ConfigError: detectron2 is not installed, or a key is not set.
            MissingFileError: The config or weights file is not there.
            CheckpointError: The weights do not fit the model.
        """
        detectron = _detectron2()
        path = _config_file(detectron, str(cfg.SEGMENTER.CONFIG_FILE))
        weights = Path(str(cfg.SEGMENTER.WEIGHTS)).expanduser()
        if not weights.is_file():
            raise MissingFileError(
                f"SEGMENTER.WEIGHTS {str(cfg.SEGMENTER.WEIGHTS)!r} is no file; the detectron2 "
                "segmenter needs the model's weights file (.safetensors, .pkl or .pth) there"
            )
        settings = detectron["config"].get_cfg()
        settings.merge_from_file(str(path), allow_unsafe=False)
        settings.MODEL.WEIGHTS = ""
        settings.MODEL.DEVICE = str(device)
        model = detectron["modeling"].build_model(settings).eval()
        _fill(model, weights)
        if not len(settings.DATASETS.TEST):
            raise ConfigError(f"{path} names no DATASETS.TEST, whose classes would be the model's")
        names = detectron["data"].MetadataCatalog.get(settings.DATASETS.TEST[0])
        inputs = settings.INPUT
        sizes = [inputs.MIN_SIZE_TEST, inputs.MIN_SIZE_TEST]
        resize = detectron["data.transforms"].ResizeShortestEdge(sizes, inputs.MAX_SIZE_TEST)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest() + settings.dump()
        return cls(
            model,
            resize,
            str(inputs.FORMAT),
            names.get("thing_classes", ()),
            names.get("stuff_classes", ()),
            grid,
            digest,
        )

    @torch.inference_mode()
    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        batch = []
        for image in images.cpu():
            pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
            if self.channels == "BGR":
                pixels = np.ascontiguousarray(pixels[:, :, ::-1])
            scaled = self.resize.get_transform(pixels).apply_image(pixels)
            batch.append(
                {
                    "image": torch.as_tensor(scaled.astype("float32").transpose(2, 0, 1)),
                    "height": pixels.shape[0],
                    "width": pixels.shape[1],
                }
            )
        return [self._convert(output) for output in (self.model(batch) if batch else [])]

    def fingerprint(self) -> str:
        return hashlib.sha256(repr((self._digest, self.grid, RULE_VERSION)).encode()).hexdigest()

    def _convert(self, output: dict[str, Any]) -> Segments:
        if "panoptic_seg" not in output:
            raise ConfigError(
                f"the detectron2 model gives {sorted(output)} and no 'panoptic_seg'; "
                "SEGMENTER.CONFIG_FILE must be that of a panoptic model"
            )
        panoptic, infos = output["panoptic_seg"]
        segments = []
        for info in infos:
            table = self._things if info["isthing"] else self._stuff
            category = int(info["category_id"])
            label = table[category] if 0 <= category < len(table) else None
            if label is None:
                raise DataError(
                    f"the detectron2 model gave category {category} (isthing {info['isthing']}), "
                    "which is no class of COCO panoptic"
                )
            segments.append(Segment(int(info["id"]), label, round(float(info.get("score", 1)), 6)))
        return to_grid(panoptic.cpu().numpy(), segments, self.grid)


def _coco_id(name: str) -> int | None:
    cleaned = clean_name(name)
    return CLEAN_NAMES.index(cleaned) if cleaned in CLEAN_NAMES else None


def _detectron2() -> dict[str, ModuleType]:
    parts = ("config", "modeling", "data", "data.transforms", "model_zoo")
    try:
        return {part: importlib.import_module(f"detectron2.{part}") for part in parts}
    except ImportError as error:
        raise ConfigError(
            f"SEGMENTER.NAME detectron2 needs detectron2, which cannot be imported ({error}); "
            "install it with `bash install --detectron2`, or use SEGMENTER.NAME mask2former"
        ) from error


def _config_file(detectron: dict[str, ModuleType], name: str) -> Path:
    if not name:
        raise ConfigError(
            "SEGMENTER.NAME detectron2 needs SEGMENTER.CONFIG_FILE: a YAML file, or a name of the "
            "model zoo such as 'COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml'"
        )
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"SEGMENTER.CONFIG_FILE {name!r} is no YAML file")
    if path.is_file():
        return path
    try:
        return Path(detectron["model_zoo"].get_config_file(name))
    except RuntimeError as error:
        raise MissingFileError(
            f"SEGMENTER.CONFIG_FILE {name!r} is neither a file nor in detectron2's model zoo"
        ) from error


def _fill(model: Any, weights: Path) -> None:
    try:
        result = model.load_state_dict(read_weights(weights), strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"SEGMENTER.WEIGHTS {weights} does not fit: {error}") from error
    wrong = [
        f"{kind} {key}"
        for kind, keys in (("lacks", result.missing_keys), ("has", result.unexpected_keys))
        for key in keys
        if not any(part in key for part in _IGNORED)
    ]
    if wrong:
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS {weights} is not for SEGMENTER.CONFIG_FILE: it "
            f"{', '.join(wrong[:8])} ({len(wrong)} in all)"
        )
