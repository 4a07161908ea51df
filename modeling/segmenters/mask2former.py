"""Mask2Former (Cheng et al., 2022, arXiv 2112.01527) as CoLLaVO uses it, of any checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import CheckpointError
from collavo.modeling.pretrained import load_pretrained
from collavo.modeling.segmenters.base import Segmenter
from collavo.modeling.segmenters.mask2former_loading import load_mask2former
from collavo.modeling.segmenters.mask2former_speed import use_fast_parts
from collavo.modeling.segmenters.panoptic import RULE_VERSION, Thresholds, post_process
from collavo.modeling.segmenters.source import segmenter_folder
from collavo.modeling.weights import resolve_weights, weights_digest
from collavo.records import ImageRef, Segments
from collavo.registry import SEGMENTERS

if TYPE_CHECKING:
    from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessorPil

_AT_ONCE = {"cuda": 8}
"""Images in one forward pass. On the CPU one by one is the fastest, and what else is in a batch
cannot change an answer: masked attention turns rounding into other masks now and then."""

FILES = ("config.json", "preprocessor_config.json")


@SEGMENTERS.register("mask2former")
class Mask2FormerSegmenter(Segmenter):
    """Mask2Former of transformers, any panoptic checkpoint, with the original's own rule.

    Args:
        model: In evaluation mode; it stays in float32.
        processor: The checkpoint's image processor, the Pillow one.
        grid: Rows and columns (h, w) of the answer.
        thresholds: See `Thresholds`.
        digest: The hash of weights and settings that `fingerprint` is made from.
    """

    def __init__(
        self,
        model: Mask2FormerForUniversalSegmentation,
        processor: Mask2FormerImageProcessorPil,
        grid: tuple[int, int],
        thresholds: Thresholds | None = None,
        digest: str = "",
    ) -> None:
        self.model = model
        self.processor = processor
        self.grid = grid
        self.thresholds = thresholds or Thresholds()
        self.class_names = clean_class_names(model.config.id2label or {})
        about = getattr(model.config, "collavo", None)
        self.untrained = isinstance(about, Mapping) and bool(about.get("untrained"))
        self._digest = digest

    @classmethod
    def from_config(
        cls, cfg: Any, grid: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Mask2FormerSegmenter:
        """Loads the checkpoint that the configuration means; see `segmenter_folder`.

        Args:
            cfg: The configuration.
            grid: Rows and columns of the model's patch grid.
            device: Where it runs.
        """
        segmenter = cls.from_pretrained(segmenter_folder(cfg, FILES), grid, None, device)
        segmenter.thresholds = replace(segmenter.thresholds, **given_thresholds(cfg))
        return segmenter

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        grid: tuple[int, int],
        thresholds: Thresholds | None = None,
        device: torch.device | str = "cpu",
        revision: str = "",
    ) -> Mask2FormerSegmenter:
        """Loads a checkpoint in float32, whatever it is stored in.

        Args:
            folder: A folder, or a hub id.
            grid: Rows and columns (h, w) of the answer.
            thresholds: None takes those that its config.json names, else CoLLaVO's.
            device: Where it runs.
            revision: The hub revision.

        Raises:
            MissingFileError: A file is not there.
            CheckpointError: It is no Mask2Former, or its weights do not fit it or are pickled.
        """
        from transformers import Mask2FormerImageProcessorPil

        path = resolve_weights(str(folder), revision, FILES, "SEGMENTER.WEIGHTS")
        model = load_mask2former(path)
        if torch.device(device).type == "cpu":
            use_fast_parts(model)
        torch.nn.Module.to(model, device)
        processor = load_pretrained(Mask2FormerImageProcessorPil, path, "SEGMENTER.WEIGHTS")
        _try(processor, path)
        limits = thresholds or own_thresholds(model.config)
        segmenter = cls(model, processor, grid, limits, weights_digest(path, FILES))
        segmenter.origin = str(folder)
        return segmenter

    @torch.inference_mode()
    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        if not len(images):
            return []
        arrays = [image.numpy() for image in images.cpu()]
        inputs = self.processor(
            images=arrays, return_tensors="pt", input_data_format="channels_first"
        )
        device = self.model.device
        found: list[Segments] = []
        for pixels in inputs["pixel_values"].split(_AT_ONCE.get(device.type, 1)):
            outputs = self.model(pixel_values=pixels.to(device))
            found += post_process(
                outputs.class_queries_logits,
                outputs.masks_queries_logits,
                self.grid,
                self.thresholds,
            )
        return found

    def fingerprint(self) -> str:
        settings = (self._digest, self.thresholds, self.grid, RULE_VERSION)
        return hashlib.sha256(repr(settings).encode()).hexdigest()


def _try(processor: Any, folder: Path) -> None:
    """Prepares one small image, since a processor takes settings of any kind until it is used.

    Raises:
        CheckpointError: It cannot.
    """
    size = getattr(processor, "size", None)
    numbers = [n for n in dict(size or {}).values() if isinstance(n, int | float)]
    try:
        if any(n > LARGEST_SIDE for n in numbers):
            raise ValueError(f"size {size} is beyond {LARGEST_SIDE} pixels")
        image = np.zeros((3, 8, 8), dtype=np.uint8)
        processor(images=[image], return_tensors="pt", input_data_format="channels_first")
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, IndexError) as error:
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: preprocessor_config.json in {folder} cannot be used: {error}"
        ) from error


LARGEST_SIDE = 8192
"""Pixels that a processor may bring images to."""


def given_thresholds(cfg: Any) -> dict[str, float]:
    """Returns the thresholds that a configuration sets, by their names in `Thresholds`."""
    given = {
        "score": float(cfg.SEGMENTER.THRESHOLD),
        "mask": float(cfg.SEGMENTER.MASK_THRESHOLD),
        "overlap": float(cfg.SEGMENTER.OVERLAP_THRESHOLD),
    }
    return {name: value for name, value in given.items() if value >= 0}


def own_thresholds(config: Any) -> Thresholds:
    """Returns the thresholds that a checkpoint was made for, CoLLaVO's where it does not say.

    Args:
        config: Its configuration; `collavo.thresholds` may hold `score`, `mask` and `overlap`.

    Raises:
        CheckpointError: A threshold is unknown, or is no number from 0 to 1.
    """
    own = getattr(config, "collavo", None) or {}
    fields = own.get("thresholds") or {} if isinstance(own, Mapping) else own
    if not isinstance(fields, Mapping):
        raise CheckpointError(f"SEGMENTER.WEIGHTS: config.json has the thresholds {fields!r:.60}")
    for name, value in fields.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name not in vars(Thresholds()) or not number or not 0 <= value <= 1:
            raise CheckpointError(
                f"SEGMENTER.WEIGHTS: config.json has the threshold {name}: {value!r}; there are "
                f"{', '.join(vars(Thresholds()))}, each from 0 to 1"
            )
    return Thresholds(**{name: float(value) for name, value in fields.items()})


def clean_class_names(id2label: Mapping[Any, str]) -> tuple[str, ...]:
    """Returns a checkpoint's class names in id order, without "-merged", "-other", "-stuff".

    A checkpoint with 133 classes that it does not name ("LABEL_0") has COCO panoptic's.
    """
    try:
        names = tuple(str(id2label[key]) for key in sorted(id2label, key=int))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: id2label of config.json has other keys than numbers: {error}"
        ) from error
    unnamed = all(name == f"LABEL_{position}" for position, name in enumerate(names))
    if unnamed and len(names) == len(CLEAN_NAMES):
        return CLEAN_NAMES
    return tuple(clean_name(name) for name in names)


def clean_name(name: str) -> str:
    """Returns a class name as the Crayon Prompt writes it: "sky-other-merged" is "sky"."""
    for suffix in ("-merged", "-other", "-stuff"):
        name = name.replace(suffix, "")
    return name
