"""Mask2Former (Cheng et al., 2022, arXiv 2112.01527) as CoLLaVO uses it, of any checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.errors import CheckpointError
from collavo.modeling.segmenters.base import Segmenter
from collavo.modeling.segmenters.panoptic import RULE_VERSION, Thresholds, post_process
from collavo.modeling.segmenters.source import segmenter_folder
from collavo.modeling.weights import resolve_weights, weights_digest
from collavo.records import ImageRef, Segments
from collavo.registry import SEGMENTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessorPil

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
        self.untrained = bool((getattr(model.config, "collavo", None) or {}).get("untrained"))
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
        thresholds = Thresholds(
            float(cfg.SEGMENTER.THRESHOLD),
            float(cfg.SEGMENTER.MASK_THRESHOLD),
            float(cfg.SEGMENTER.OVERLAP_THRESHOLD),
        )
        return cls.from_pretrained(segmenter_folder(cfg, FILES), grid, thresholds, device)

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
            thresholds: See `Thresholds`.
            device: Where it runs.
            revision: The hub revision.

        Raises:
            MissingFileError: A file is not there.
            CheckpointError: It is no Mask2Former, or its weights do not fit it or are pickled.
        """
        from transformers import Mask2FormerImageProcessorPil

        path = resolve_weights(str(folder), revision, FILES, "SEGMENTER.WEIGHTS")
        _check_type(path)
        model = _load(path).eval().requires_grad_(False)
        torch.nn.Module.to(model, device)
        processor = Mask2FormerImageProcessorPil.from_pretrained(path)
        return cls(model, processor, grid, thresholds, weights_digest(path, FILES))

    @torch.inference_mode()
    def segment(self, images: Tensor, refs: Sequence[ImageRef] | None = None) -> list[Segments]:
        if not len(images):
            return []
        arrays = [image.numpy() for image in images.cpu()]
        inputs = self.processor(
            images=arrays, return_tensors="pt", input_data_format="channels_first"
        )
        outputs = self.model(pixel_values=inputs["pixel_values"].to(self.model.device))
        return post_process(
            outputs.class_queries_logits, outputs.masks_queries_logits, self.grid, self.thresholds
        )

    def fingerprint(self) -> str:
        settings = (self._digest, self.thresholds, self.grid, RULE_VERSION)
        return hashlib.sha256(repr(settings).encode()).hexdigest()


def clean_class_names(id2label: Mapping[Any, str]) -> tuple[str, ...]:
    """Returns a checkpoint's class names in id order, without "-merged", "-other", "-stuff".

    A checkpoint with 133 classes that it does not name ("LABEL_0") has COCO panoptic's.
    """
    names = tuple(str(id2label[key]) for key in sorted(id2label, key=int))
    unnamed = all(name == f"LABEL_{position}" for position, name in enumerate(names))
    if unnamed and len(names) == len(CLEAN_NAMES):
        return CLEAN_NAMES
    return tuple(clean_name(name) for name in names)


def clean_name(name: str) -> str:
    """Returns a class name as the Crayon Prompt writes it: "sky-other-merged" is "sky"."""
    for suffix in ("-merged", "-other", "-stuff"):
        name = name.replace(suffix, "")
    return name


def _check_type(folder: Path) -> None:
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is no JSON object: {error}") from error
    if kind != "mask2former":
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: {folder} holds a model of type {kind!r}, not 'mask2former'"
        )


def _load(folder: Path) -> Mask2FormerForUniversalSegmentation:
    from safetensors import SafetensorError
    from transformers import Mask2FormerForUniversalSegmentation

    with _quiet_loading():
        try:
            loaded: Any = Mask2FormerForUniversalSegmentation.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"SEGMENTER.WEIGHTS: {folder} cannot be loaded: {error}"
            ) from error
    model, info = loaded
    parameters = {name for name, _ in model.named_parameters()}
    missing = sorted(parameters & set(info["missing_keys"]))
    misshapen = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing or misshapen:
        raise CheckpointError(
            f"SEGMENTER.WEIGHTS: the weights in {folder} do not fit its config.json; missing: "
            f"{', '.join(missing[:8]) or 'none'} ({len(missing)}); of another shape: "
            f"{', '.join(misshapen[:8]) or 'none'} ({len(misshapen)})"
        )
    return model


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Keeps transformers' progress bar and report out of the log; we check what was loaded."""
    from transformers.utils import logging as hub_logging

    shown, level = hub_logging.is_progress_bar_enabled(), hub_logging.get_verbosity()
    hub_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if shown:
            hub_logging.enable_progress_bar()
