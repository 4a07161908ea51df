"""Measures a panoptic segmenter on scenes that no training has seen.

Panoptic quality (Kirillov et al., 2019, arXiv 1801.00868) is taken by torchmetrics at the pixels
that the vision-language model sees. What the Crayon Prompt makes of the segments is counted on the
patch grid: whether each class of things is found, whether its number is right, how well the boxes
fit. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from collavo.datasets.miniature.scenes import Scene
    from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter
    from collavo.records import Segments

FIRST_SEED = 990_000_000
"""Scenes from here on are measured: no training sees them, and no benchmark of the miniature."""

THINGS = 80
"""COCO panoptic's classes below this are things."""

Box = tuple[float, float, float, float]


@dataclass
class Tally:
    """What is counted over scenes, at the level of the Crayon Prompt.

    Args:
        found: Classes that are there and were found, over all images.
        missed: Classes that are there and were not.
        invented: Classes that were found and are not there.
        counted: Classes that are there, and whose number is right.
        overlaps: Of each object the best overlap (IoU) of a box of its class, 0 where none is.
    """

    found: int = 0
    missed: int = 0
    invented: int = 0
    counted: int = 0
    overlaps: list[float] = field(default_factory=list)

    def add(self, boxes: Mapping[int, Sequence[Box]], truth: Mapping[int, Sequence[Box]]) -> None:
        """Adds an image.

        Args:
            boxes: Found boxes by class of things, XYXY as shares of the image's sides.
            truth: The true ones.
        """
        for label in {*boxes, *truth}:
            here, there = boxes.get(label, ()), truth.get(label, ())
            self.found += bool(here and there)
            self.missed += bool(there and not here)
            self.invented += bool(here and not there)
            self.counted += bool(there) and len(here) == len(there)
            self.overlaps += [max((overlap(box, b) for b in here), default=0.0) for box in there]

    def figures(self) -> dict[str, float]:
        """Returns recall and precision of presence, right numbers, and the mean overlap."""
        present = max(1, self.found + self.missed)
        return {
            "presence_recall": self.found / present,
            "presence_precision": self.found / max(1, self.found + self.invented),
            "count_accuracy": self.counted / present,
            "box_overlap": float(np.mean(self.overlaps)) if self.overlaps else 0.0,
        }


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two XYXY boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def found_boxes(segments: Segments) -> dict[int, list[Box]]:
    """Boxes of the things on a grid by class, as the Crayon Prompt has them."""
    ids = segments.ids.numpy()
    rows, columns = ids.shape
    boxes: dict[int, list[Box]] = {}
    for segment in segments.segments:
        y, x = np.nonzero(ids == segment.id)
        if segment.label_id >= THINGS or not len(y):
            continue
        box = (
            float(x.min() / columns),
            float(y.min() / rows),
            float((x.max() + 1) / columns),
            float((y.max() + 1) / rows),
        )
        boxes.setdefault(segment.label_id, []).append(box)
    return boxes


def true_boxes(drawn: Scene) -> dict[int, list[Box]]:
    """Boxes of a scene's things by class, as shares of the image's sides."""
    width, height = drawn.image.size
    boxes: dict[int, list[Box]] = {}
    for thing in drawn.things:
        x0, y0, x1, y1 = thing.box
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
        boxes.setdefault(thing.label_id, []).append(box)
    return boxes


def panoptic_pair(panoptic: np.ndarray, labels: Mapping[int, int], void: int) -> np.ndarray:
    """Makes torchmetrics' (H, W, 2) map of class and instance; stuff has one instance.

    Args:
        panoptic: (H, W) numbers of segments; what is not in `labels` is void.
        labels: Class of each number.
        void: The class of void.
    """
    top = int(panoptic.max()) + 1
    kinds = np.array([labels.get(number, void) for number in range(top)])
    instances = np.array(
        [number if kinds[number] < THINGS else 0 for number in range(top)], np.int64
    )
    return np.stack([kinds[panoptic], instances[panoptic]], -1)


def measure(
    segmenter: Mask2FormerSegmenter, scenes: Iterable[Scene], image_size: int
) -> dict[str, Any]:
    """Measures a segmenter on scenes.

    Args:
        segmenter: It answers on the grid of the Crayon Prompt.
        scenes: With their truth.
        image_size: The vision-language model's, which images are brought to first, as always.
    """
    import torch
    from torchmetrics.detection import PanopticQuality

    classes = len(segmenter.class_names)
    quality = PanopticQuality(
        things=set(range(THINGS)),
        stuffs=set(range(THINGS, classes)),
        allow_unknown_preds_category=True,
        return_sq_and_rq=True,
        return_per_class=True,
    )
    tally, grid, seconds, count = Tally(), segmenter.grid, 0.0, 0
    seen: set[int] = set()
    for drawn in scenes:
        pixels = torch.from_numpy(_squeezed(drawn, image_size))[None]
        start = time.perf_counter()
        on_grid = segmenter.segment(pixels)[0]
        seconds += time.perf_counter() - start
        tally.add(found_boxes(on_grid), true_boxes(drawn))
        segmenter.grid = (image_size, image_size)  # the same rule at pixels
        full = segmenter.segment(pixels)[0]
        segmenter.grid = grid
        truth = {segment.id: segment.label_id for segment in (*drawn.things, *drawn.stuff)}
        named = {segment.id: segment.label_id for segment in full.segments}
        seen |= {*truth.values()}
        quality.update(
            torch.from_numpy(panoptic_pair(full.ids.numpy(), named, classes))[None],
            torch.from_numpy(panoptic_pair(_squeezed_map(drawn, image_size), truth, classes))[None],
        )
        count += 1
    return {
        "images": count,
        **_qualities(quality.compute(), sorted(seen)),
        **tally.figures(),
        "thresholds": vars(segmenter.thresholds),
        "ms_per_image": 1000 * seconds / max(1, count),
    }


def _qualities(table: Any, seen: Sequence[int]) -> dict[str, float]:
    """Means over the classes that occur: torchmetrics orders classes as things, then stuff."""
    things = [label for label in seen if label < THINGS]
    stuff = [label for label in seen if label >= THINGS]
    rows = table[0] if table.dim() == 3 else table
    result = {}
    for name, labels in (("", list(seen)), ("_things", things), ("_stuff", stuff)):
        for kind, column in (("pq", 0), ("sq", 1), ("rq", 2)):
            values = rows[labels, column].mean() if labels else rows.new_zeros(())
            result[f"{kind}{name}"] = float(values)
    return result


def _squeezed(drawn: Scene, size: int) -> np.ndarray:
    from collavo.datasets.segmentation.example import squeeze_image

    return squeeze_image(drawn.image, (size,))


def _squeezed_map(drawn: Scene, size: int) -> np.ndarray:
    from collavo.datasets.segmentation.example import squeeze_map

    return squeeze_map(drawn.panoptic, size)


def _scenes(count: int) -> Iterator[Scene]:
    from collavo.datasets.miniature.scenes import scene

    return (scene(FIRST_SEED + number) for number in range(count))


def main(argv: list[str] | None = None) -> int:
    """Measures a checkpoint and prints one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="", help="folder; by default the built-in segmenter")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--grid", type=int, default=16, help="rows and columns of the patch grid")
    parser.add_argument("--image-size", type=int, default=224, help="of the model, in pixels")
    parser.add_argument("--mask-threshold", type=float, help="in place of the checkpoint's own")
    args = parser.parse_args(argv)

    from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter
    from collavo.modeling.segmenters.panoptic import Thresholds
    from collavo.modeling.weights import builtin_weights

    folder = Path(args.weights) if args.weights else builtin_weights("segmenter")
    thresholds = None
    if args.mask_threshold is not None:
        thresholds = Thresholds(mask=args.mask_threshold)
    segmenter = Mask2FormerSegmenter.from_pretrained(folder, (args.grid, args.grid), thresholds)
    figures = measure(segmenter, _scenes(args.scenes), args.image_size)
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps({"weights": str(folder), **rounded}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
