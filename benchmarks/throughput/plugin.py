"""What the benchmark registers: three loads of synthetic questions, and planted segments.

A plug-in as any user's: `USER_DIR benchmarks/throughput/plugin.py`. The data lie where the
environment variable COLLAVO_THROUGHPUT says; `data.py` writes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog
from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter
from collavo.records import ImageRef, Sample, one_image
from collavo.registry import SEGMENTERS

FOLDER = "COLLAVO_THROUGHPUT"
LOADS = {"pope": 18, "gqa": 31, "mme": 2}
"""Questions an image of each load."""

_CLASSES = (0, 2, 13, 15, 16, 24, 41, 56, 57, 60, 62, 80, 93, 112, 117, 119, 125, 131)
_CERTAIN = 20.0


def load(name: str) -> list[Sample]:
    """Reads the questions of a load."""
    folder = Path(os.environ[FOLDER])
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    refs: dict[str, ImageRef] = {}
    samples = []
    for row in map(json.loads, lines):
        ref = refs.setdefault(row["image"], ImageRef(folder / "images" / row["image"]))
        samples.append(
            Sample(
                f"throughput_{name}:{row['question_id']}",
                one_image(ref),
                row["text"],
                row["question_id"],
                answers=(row["label"],),
                category="random",
            )
        )
    return samples


def _loader(name: str) -> Any:
    return lambda: load(name)


for _name, _count in LOADS.items():
    DatasetCatalog.register(f"throughput_{_name}", _loader(_name))
    MetadataCatalog.get(f"throughput_{_name}").set(
        pipeline="mme" if _name == "mme" else "pope",
        evaluator_type="pope",
        answer_type="yes_no",
        description=f"Synthetic load of the throughput benchmark, {_count} questions an image",
    )


class Planted(nn.Module):
    """Runs Mask2Former and then replaces its logits by ones that hold segments.

    Drawn weights find nothing, and without segments the prompt is a third shorter than real ones
    are. Both ways of the benchmark run the network and get these same logits for the same pixels.

    Args:
        model: The network.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.runs = 0

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.model.parameters()).device

    def forward(self, pixel_values: Tensor) -> Any:
        found = self.model(pixel_values=pixel_values)
        self.runs += len(pixel_values)
        classes = torch.zeros_like(found.class_queries_logits)
        classes[..., -1] = _CERTAIN
        masks = torch.full_like(found.masks_queries_logits, -_CERTAIN)
        for row, pixels in enumerate(pixel_values):
            digest = hashlib.sha256(pixels.cpu().numpy().tobytes()).digest()
            draw = random.Random(digest)
            size = masks.shape[-1]
            for query, (x1, y1, x2, y2) in enumerate(_rectangles(draw, size)):
                classes[row, query, draw.choice(_CLASSES)] = 2 * _CERTAIN
                masks[row, query, y1:y2, x1:x2] = _CERTAIN
        return SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks)


def _rectangles(draw: random.Random, size: int) -> list[tuple[int, int, int, int]]:
    """Cuts a square into 8 to 13 rectangles with gaps between them; XYXY in mask pixels."""
    boxes = [(0, 0, size, size)]
    for _ in range(draw.randint(7, 12)):
        boxes.sort(key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        x1, y1, x2, y2 = boxes.pop()
        share = draw.uniform(0.35, 0.65)
        if x2 - x1 > y2 - y1:
            at = round(x1 + share * (x2 - x1))
            boxes += [(x1, y1, at, y2), (at, y1, x2, y2)]
        else:
            at = round(y1 + share * (y2 - y1))
            boxes += [(x1, y1, x2, at), (x1, at, x2, y2)]
    draw.shuffle(boxes)
    gap = size // 48
    return [(x1 + gap, y1 + gap, x2 - gap, y2 - gap) for x1, y1, x2, y2 in boxes]


@SEGMENTERS.register("throughput")
class ThroughputSegmenter(Mask2FormerSegmenter):
    """Mask2Former with planted segments, for the throughput benchmark alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = Planted(self.model)  # type: ignore[assignment]

    def fingerprint(self) -> str:
        return f"planted-{super().fingerprint()}"
