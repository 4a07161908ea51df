"""Mask2Former as a training task: the model, its data, its loss, its export."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from collavo.datasets.instruction.source import SourceSpec, parse_sources
from collavo.datasets.segmentation.batches import PanopticBatch, PanopticPlan
from collavo.datasets.segmentation.example import PanopticSource
from collavo.datasets.segmentation.folder import PanopticFolder
from collavo.datasets.segmentation.scenes import SceneSource
from collavo.errors import ConfigError
from collavo.modeling.segmenters.mask2former import FILES, given_thresholds, own_thresholds
from collavo.modeling.segmenters.mask2former_loading import load_mask2former
from collavo.modeling.segmenters.new_mask2former import (
    calibrate,
    export_segmenter,
    new_mask2former,
    read_processor,
)
from collavo.modeling.segmenters.panoptic import Thresholds
from collavo.modeling.segmenters.source import segmenter_folder
from collavo.modeling.segmenters.training_model import TrainedMask2Former
from collavo.modeling.weights import weights_digest

RECIPE = 1
"""Counts changes of losses and batches that change what a training gives."""

SCENES = 10_000
"""Scenes of the miniature world where the source does not say how many."""

DENSE_WEIGHT = 10.0
"""Of the dense head's loss, beside 2 + 5 + 5 for class, mask and dice of each layer."""

CALIBRATION_STEPS = 32
"""Batches that running statistics are measured on before saving."""


class Place(Protocol):
    """Which share of a step is meant; `collavo.engine.training.task.Place`."""

    @property
    def share(self) -> slice:
        """What of a global batch belongs here."""
        ...


@dataclass(frozen=True)
class SegmenterLoss:
    """The loss of a micro-batch; `collavo.engine.training.task.LossParts`.

    Args:
        total: Its share of the step's loss.
        scalars: Shares of figures for the log.
    """

    total: Tensor
    scalars: Mapping[str, Tensor]


class SegmenterTask:
    """Trains a Mask2Former on panoptic examples.

    Parameters are named `segmenter.…` as transformers names them, and `dense.…` for the head that
    training alone has.

    Args:
        model: The segmenter with its losses.
        plan: The data.
        folder: Whose preprocessor_config.json (and names of classes) the export gets.
        about: What the export's config.json says of the training.
        content: What identifies data and model.
    """

    name = "segmenter"

    def __init__(
        self,
        model: TrainedMask2Former,
        plan: PanopticPlan,
        folder: Path,
        about: Mapping[str, Any],
        content: Mapping[str, Any],
    ) -> None:
        self.model: nn.Module = model
        self.steps_per_epoch = plan.steps_per_epoch
        self._whole, self._plan, self._folder = model, plan, folder
        self._about, self._content = about, content

    @classmethod
    def from_config(cls, cfg: Any, device: str, is_main: bool = True) -> SegmenterTask:
        """Builds the model of SEGMENTER.WEIGHTS and the data of TRAIN.DATA.

        Args:
            cfg: The configuration. TRAIN.INIT random takes the shapes of SEGMENTER.WEIGHTS alone;
                thresholds of the section SEGMENTER that are set go into the export.
            device: Where it is trained.
            is_main: Whether this process is the first.

        Raises:
            ConfigError: A source is none of panoptic examples, or there is none.
        """
        folder = segmenter_folder(cfg, FILES)
        processor = read_processor(folder)
        if cfg.TRAIN.INIT == "random":
            segmenter = new_mask2former(folder, cfg.RANDOM_SEED)
        else:
            segmenter = load_mask2former(folder)
        specs = parse_sources(cfg.TRAIN.DATA)
        sources = open_sources(specs, processor.size, is_main)
        queries = segmenter.config.num_queries
        plan = PanopticPlan(sources, cfg.TRAIN.BATCH_SIZE, queries, cfg.RANDOM_SEED)
        model = TrainedMask2Former(segmenter, processor.mean, processor.std).to(device)
        shape = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]
        begin = "random" if cfg.TRAIN.INIT == "random" else weights_digest(folder, FILES)
        data = [source.fingerprint() for source in sources]
        content = {"recipe": RECIPE, "model": shape, "size": processor.size, "data": data}
        content["begin"] = begin
        about: dict[str, Any] = {"trained_on": [spec.name for spec in specs], "recipe": RECIPE}
        limits = given_thresholds(cfg) or vars(own_thresholds(segmenter.config))
        if Thresholds(**limits) != Thresholds():
            about["thresholds"] = limits
        return cls(model, plan, folder, about, content)

    def kind(self, step: int) -> str:
        return ""

    def load(self, step: int, place: Place) -> PanopticBatch:
        return self._plan.batch(step, place.share)

    def counts(self, batch: PanopticBatch) -> Tensor:
        """Segments, images, and cells of the mask grid."""
        segments, cells = int((batch.labels >= 0).sum()), batch.masks[:, 0].numel()
        return torch.tensor([segments, len(batch.images), cells], dtype=torch.float64)

    def tokens(self, batch: PanopticBatch) -> int:
        """The images' pixels."""
        return batch.images[:, 0].numel()

    def sample_ids(self, batch: PanopticBatch) -> list[str]:
        return list(batch.names)

    def loss(self, model: nn.Module, batch: PanopticBatch, totals: Tensor) -> SegmenterLoss:
        segments, images, cells = totals.tolist()
        segments = max(1.0, segments)
        idle = max(0.0, self._whole.segmenter.config.num_queries * images - segments)
        weighted = segments + self._whole.no_object * idle
        sums = model(_on(batch, self._whole.mean.device))
        shares = {
            "class": sums["class"] / weighted,
            "mask": sums["mask"] / segments,
            "dice": sums["dice"] / segments,
            "layers": sums["others_class"] / weighted + sums["others"] / segments,
            "pilot": sums["pilot"] / segments,
            "dense": DENSE_WEIGHT * sums["dense"] / (cells / 4),
        }
        return SegmenterLoss(torch.stack(list(shares.values())).sum(), shares)

    def export(self, folder: Path) -> None:
        """Writes the checkpoint in transformers' format, in float16, with the image processor."""
        self._calibrate()
        export_segmenter(self._whole.segmenter, folder, self._folder, self._about)

    def probe(self) -> Tensor:
        size = self._content["size"]
        pixels = torch.linspace(-2, 2, 3 * size * size, device=self._whole.mean.device)
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            seen = self._whole.segmenter(pixel_values=pixels.view(1, 3, size, size))
        self.model.train(training)
        return torch.cat([seen.class_queries_logits.flatten(), seen.masks_queries_logits.flatten()])

    def fingerprint(self) -> Mapping[str, Any]:
        return self._content

    def _calibrate(self) -> None:
        device = self._whole.mean.device
        steps = range(CALIBRATION_STEPS)
        calibrate(self._whole, (_on(self._plan.batch(s, slice(None)), device) for s in steps))


def open_sources(
    specs: Sequence[SourceSpec], size: int, is_main: bool = True
) -> list[PanopticSource]:
    """Opens the data of a segmenter.

    Args:
        specs: `miniature:panoptic?scenes=N`, or `panoptic:FILE.json?images=FOLDER`.
        size: Side of the squares in pixels.
        is_main: Whether this process is the first.

    Raises:
        ConfigError: A source is none of these, or there is none.
    """
    sources: list[PanopticSource] = []
    for spec in specs:
        if spec.format == "miniature" and spec.path == "panoptic":
            sources.append(SceneSource(spec.scenes or spec.limit or SCENES, size, is_main))
        elif spec.format == "panoptic" or (spec.format == "auto" and spec.path.endswith(".json")):
            if spec.classes != "coco":
                raise ConfigError(
                    f"TRAIN.DATA: {spec.name} has classes of its own; a segmenter is trained on "
                    "COCO's here: leave classes=own out"
                )
            images = Path(spec.images).expanduser() if spec.images else None
            sources.append(PanopticFolder(Path(spec.path).expanduser(), images, size, spec.limit))
        else:
            raise ConfigError(
                f"TRAIN.DATA: a segmenter cannot be trained on {spec.format}:{spec.path}; take "
                "miniature:panoptic?scenes=N or panoptic:FILE.json?images=FOLDER"
            )
    if not sources:
        raise ConfigError(
            "TRAIN.DATA is empty: name what to train the segmenter on, miniature:panoptic or "
            "panoptic:FILE.json?images=FOLDER"
        )
    return sources


def _on(batch: PanopticBatch, device: torch.device) -> PanopticBatch:
    return replace(
        batch,
        images=batch.images.to(device),
        masks=batch.masks.to(device),
        labels=batch.labels.to(device),
        order=batch.order.to(device),
    )
