"""Makes new Mask2Formers of a checkpoint's shapes, and writes trained ones as checkpoints."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from collavo.errors import CheckpointError
from collavo.json_files import read_object
from collavo.modeling.pretrained import load_pretrained
from collavo.modeling.segmenters.mask2former_loading import quiet_loading
from collavo.modeling.segmenters.training_model import place_queries

if TYPE_CHECKING:
    from transformers import Mask2FormerForUniversalSegmentation

PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class ProcessorSettings:
    """What a checkpoint's image processor does.

    Args:
        size: Side in pixels of the square that images are brought to.
        mean: Of each channel, of pixels in [0, 1].
        std: Of each channel.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_processor(folder: Path) -> ProcessorSettings:
    """Reads preprocessor_config.json.

    Raises:
        CheckpointError: It does not bring images to one square size that 32 divides.
    """
    path = folder / PROCESSOR
    fields = read_object(path, CheckpointError)
    try:
        height, width = int(fields["size"]["height"]), int(fields["size"]["width"])
        mean, std = tuple(fields["image_mean"]), tuple(fields["image_std"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} names no size with height and width, image_mean and image_std: {error}"
        ) from error
    if height != width or height % 32:
        raise CheckpointError(
            f"{path}: size is {height} x {width}; a segmenter is trained on squares whose side is "
            "a multiple of 32"
        )
    return ProcessorSettings(height, mean, std)


def new_mask2former(folder: Path, seed: int) -> Mask2FormerForUniversalSegmentation:
    """Draws a model of the shapes that a folder's config.json gives, in float32.

    Args:
        folder: Holds config.json.
        seed: The same weights on one release of torch and transformers.
    """
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    with quiet_loading(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = load_pretrained(Mask2FormerConfig, folder, "SEGMENTER.WEIGHTS")
        config.use_auxiliary_loss = True
        model = Mask2FormerForUniversalSegmentation(config).float()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # Mask2Former's own initialisation makes them tiny
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    place_queries(model)
    return model


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Any]) -> None:
    """Measures the running statistics of batch norms anew, if there are any.

    Checkpoints of a training hold parameters only, so that running statistics depend on where it
    was resumed; measured anew they follow from the weights alone.

    Args:
        model: Called with each batch.
        batches: Read only where there is a batch norm.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    training = model.training
    model.train()
    for batch in batches:
        model(batch)
    model.train(training)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def export_segmenter(
    model: Mask2FormerForUniversalSegmentation,
    folder: Path,
    source: Path,
    about: Mapping[str, Any],
) -> None:
    """Writes config.json, preprocessor_config.json and model.safetensors (float16).

    Args:
        model: Left as it is.
        folder: Made if it is not there.
        source: Where preprocessor_config.json is taken from.
        about: What config.json holds under `collavo`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_loading():
        copy.deepcopy(model).eval().cpu().half().save_pretrained(folder)
    path = folder / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["collavo"] = dict(about)
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if source.resolve() != folder.resolve():
        shutil.copyfile(source / PROCESSOR, folder / PROCESSOR)
    (folder / "model.safetensors").chmod(0o644)  # safetensors leaves it to the owner alone
